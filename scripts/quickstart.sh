#!/usr/bin/env bash
# From nothing to a table: set up .venv, build the sample corpora, pre-train, mid-train, and score the encoder on KS and
# ASR through S3PRL's own runner. A quarter of an hour or so on two cores. What is done is reused; --fresh starts again.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
    ""|--fresh) ;;
    *) echo "usage: bash scripts/quickstart.sh [--fresh]" >&2; exit 2 ;;
esac
bash scripts/setup.sh
exec .venv/bin/python scripts/quickstart.py "$@"
