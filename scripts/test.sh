#!/usr/bin/env bash
# Sets up, then checks everything: all tests on the reference stack, ruff, mypy, and the documentation.
#   bash scripts/test.sh                               everything
#   bash scripts/test.sh --fast                        the tests that train nothing and start no process
#   bash scripts/test.sh --floor --newest              everything, then upstream's tests and short runs of stage 3 on
#                                                      the oldest and the newest stack (one may be left out)
#   bash scripts/test.sh tests/upstream -k filterbank  anything else goes to pytest
set -euo pipefail
unset PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX  # importing torch without byte code takes twice as long
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"  # a process a core, not threads: none waits for another
cd "$(dirname "$0")/.."

bash scripts/setup.sh
processes=$(env -u OMP_NUM_THREADS nproc)  # nproc counts no more cores than that variable
tests=(-m pytest --numprocesses "$((processes < 8 ? processes : 8))")  # each takes about 2 GB

stacks=()
while [ "${1:-}" = --floor ] || [ "${1:-}" = --newest ]; do stacks+=("$1"); shift; done
case "${1:-}" in
    "") ;;
    --fast)
        [ "${#stacks[@]}" -eq 0 ] || { echo "--fast goes without --floor and --newest" >&2; exit 2; }
        shift; exec .venv/bin/python "${tests[@]}" -m "not slow" "$@" ;;
    *) [ "${#stacks[@]}" -gt 0 ] || exec .venv/bin/python -m pytest "$@" ;;
esac

failed=()
check() {
    local name=$1; shift
    echo "== $name"
    "$@" || failed+=("$name")
}
check "ruff check" .venv/bin/ruff check --quiet
check "ruff format" .venv/bin/ruff format --check
check "tests" .venv/bin/python "${tests[@]}" "$@"
check "mypy" .venv/bin/mypy
# Not --quiet: MkDocs then counts no warning, and --strict never fails.
check "documentation" env NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
for stack in "${stacks[@]}"; do
    bash scripts/setup.sh "$stack"
    check "tests of upstream, ${stack#--} stack" ".venv-${stack#--}/bin/python" "${tests[@]}" tests/upstream
done
if [ "${#failed[@]}" -gt 0 ]; then printf 'failed: %s\n' "${failed[@]}" >&2; exit 1; fi
