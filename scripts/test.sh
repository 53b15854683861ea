#!/usr/bin/env bash
# Sets up and runs all tests. With --floor also those of upstream/ on the oldest supported stack, in an environment of
# their own. Anything else goes to pytest:  bash scripts/test.sh tests/upstream -k filterbank
set -euo pipefail
cd "$(dirname "$0")/.."

floor=no
if [ "${1:-}" = --floor ]; then floor=yes; shift; fi

bash scripts/setup.sh
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
.venv/bin/python -m pytest "$@"

if [ "$floor" = yes ]; then
    bash scripts/setup.sh --floor
    .venv-floor/bin/python -m pytest tests/upstream
fi
