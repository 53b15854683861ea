#!/usr/bin/env bash
# Sets up the environment that every other script uses: .venv with the reference stack, or with --floor .venv-floor with
# the oldest one that setup.cfg allows. Does nothing when that is done already and no requirement has changed.
#   bash scripts/setup.sh [--floor]        PYTHON=python3.12 bash scripts/setup.sh
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
    "") venv=.venv stack=reference ;;
    --floor) venv=.venv-floor stack=floor ;;
    *) echo "usage: bash scripts/setup.sh [--floor]" >&2; exit 2 ;;
esac

# The first of these that is a Python we support; a virtual environment that is active counts as any other.
supported='import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'
python=""
for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python3.10; do
    if command -v "$candidate" >/dev/null && "$candidate" -c "$supported" 2>/dev/null; then python=$candidate; break; fi
    if [ "$candidate" = "${PYTHON:-}" ]; then
        echo "error: PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 with venv" >&2; exit 2
    fi
done
if [ -z "$python" ]; then
    echo "error: no Python 3.10, 3.11 or 3.12 with venv found (Debian, Ubuntu: apt install python3-venv); PYTHON=... names one" >&2
    exit 2
fi

# What the environment was made from; when this changes, it is brought up to date.
wanted=$({ cat setup.cfg pyproject.toml constraints/common.txt "constraints/$stack.txt"; "$python" -V; pwd; } | sha256sum)
if [ -f "$venv/made-from" ] && [ "$(cat "$venv/made-from")" = "$wanted" ]; then exit 0; fi

echo "Setting up $venv: $("$python" -V), the $stack stack (about 5 GB, some minutes the first time)"
# Another Python's environment cannot be updated, only replaced.
if [ -d "$venv" ] && [ "$("$venv/bin/python" -V 2>/dev/null)" != "$("$python" -V)" ]; then rm -rf "$venv"; fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# On a terminal pip shows each download's rate and time left; in a log it would fill pages.
quiet=--quiet; if [ -t 1 ]; then quiet=--progress-bar=on; fi
"$venv/bin/python" -m pip install --disable-pip-version-check "$quiet" --constraint "constraints/$stack.txt" --editable ".[test]"
echo "$wanted" > "$venv/made-from"
