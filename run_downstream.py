"""S3PRL's stock runner with mmpt_av registered: `python run_downstream.py -u mmpt_av -d asr` (`--help` for more)."""

import sys

try:
    from mmpt.scripts.samples.locate import built_samples
    from mmpt.upstream.s3prl_runner.launcher import main
except ModuleNotFoundError as error:
    sys.exit(f"run_downstream.py: error: {error}; set up with: bash scripts/setup.sh, then . .venv/bin/activate")

if __name__ == "__main__":
    sys.exit(main(samples=built_samples))
