#!/usr/bin/env bash
# From nothing to a table: set up .venv, build the sample corpora, pre-train, mid-train, and score five encoders on
# KS, PR and ASR through S3PRL's own runner. Eight minutes on two cores after set-up. What is done is reused; --fresh
# starts again.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
    ""|--fresh) ;;
    *) echo "usage: bash scripts/quickstart.sh [--fresh]" >&2; exit 2 ;;
esac
bash scripts/setup.sh
exec .venv/bin/python scripts/quickstart.py "$@"
