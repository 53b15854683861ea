"""Score a bundle, or predict.zip, offline by the leaderboard server's rules, with its rank among the published rows."""

import argparse
import json
import sys
from pathlib import Path

from mmpt.superb.results_folder import input_path
from mmpt.superb.scoring.layout import TRUTHS
from mmpt.upstream.command import clean_exit

FILES = ", ".join(name for names in TRUTHS.values() for name in names)
EXAMPLES = f"""\
examples:
  python scripts/superb/score.py bundle/ --truth runs/superb/first data/samples/diarization
  python scripts/superb/score.py predict.zip --truth test-ref.ark test-clean-noLM-ref.ark test_truth.txt rttm

Truth: files as S3PRL's runner writes them beside its predictions, or folders of them
({FILES}).
Tasks without a truth are left out.

The server's rules: missing ids are skipped, an unknown id costs the task. PER and WER are edits over all reference
tokens. SD is the best on test of thresholds 0.3, 0.4, 0.5, 0.6, 0.7 and medians 1, 11. Beside it stands the figure of
the setting that dev chooses, if the bundle holds dev predictions and --truth dev's rttm.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("bundle", type=Path, metavar="BUNDLE", help="predict.zip, or a folder that holds it or predict/")
    p.add_argument("--truth", type=Path, nargs="+", required=True, metavar="PATH", help="files or folders, see below")
    p.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures there; default: score.json in a bundle's folder"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Score and print; return the exit status: 1 if a task could not be scored."""
    arguments = parser().parse_args(argv)
    from mmpt.superb.scoring.files import Predictions, read_truth
    from mmpt.superb.scoring.score import describe_scores, score_bundle
    from mmpt.upstream.files import write_text

    bundle = input_path(arguments.bundle)
    content = score_bundle(Predictions(bundle), read_truth([input_path(path) for path in arguments.truth]))
    print(describe_scores(content))
    file = arguments.json or (bundle / "score.json" if bundle.is_dir() else None)
    if file:
        write_text(file, json.dumps(content, indent=2) + "\n")
        print(f"Written: {file}")
    return 1 if content["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
