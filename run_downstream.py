"""S3PRL's stock runner with mmpt_av registered: `python run_downstream.py -u mmpt_av -d asr` (`--help` for more)."""

import sys

try:
    from mmpt.upstream.stock.launcher import main
except ModuleNotFoundError as error:
    sys.exit(f"run_downstream.py: error: {error}; set up with: bash scripts/setup.sh, then . .venv/bin/activate")

if __name__ == "__main__":
    sys.exit(main())
