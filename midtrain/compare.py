"""Compare two systems' translations of the same split: is one better than the other, by BLEU and by chrF?"""

import argparse
import sys
from pathlib import Path

try:
    from mmpt.upstream.command import clean_exit
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

EXAMPLES = """\
examples:
  python midtrain/translate.py runs/midtrain/it-random --split tst-COMMON
  python midtrain/translate.py runs/midtrain/it-clr --split tst-COMMON
  python midtrain/compare.py runs/midtrain/it-random/translate/tst-COMMON runs/midtrain/it-clr/translate/tst-COMMON

The test is sacrebleu's, with its fixed seed: sacrebleu references.txt -i A.txt B.txt -m bleu chrf --paired-ar
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = "folder that midtrain/translate.py wrote for {}, RUN/translate/SPLIT"
    p.add_argument("first", type=Path, metavar="A", help=folder.format("the first system"))
    p.add_argument("second", type=Path, metavar="B", help=folder.format("the second"))
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Print the comparison; return the exit status."""
    arguments = parser().parse_args(argv)
    # Libraries are loaded from here on.
    from mmpt.midtrain.comparison import compare, read_translations, table

    first, second = read_translations(arguments.first), read_translations(arguments.second)
    print(table(first, second, compare(first, second)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
