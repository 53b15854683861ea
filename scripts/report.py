"""Draws the paper's comparison from the results of runs: one self-contained page, and its figures as PNG and PDF."""

import argparse
import sys
from pathlib import Path

from mmpt.superb.report.collect import collect
from mmpt.superb.report.page import write_report
from mmpt.superb.report.word_errors import read_table
from mmpt.upstream.command import clean_exit

EXAMPLES = """\
examples:
  python scripts/report.py superb/first --out report
  python scripts/report.py superb/lrs3 superb/k600 superb/vc2 --out report              several runs in one comparison
  python scripts/report.py scripts/reporting/paper_wer.yaml --out report                the paper's own table and the figures it derives

RESULTS are folders of scripts/superb/run.py or the quickstart (their results.json), or YAML tables of word errors in the form of
scripts/reporting/paper_wer.yaml. The page has the tasks' scores, the paper's table 1 (word errors by method, data set and language, with the changes
against scratch and against pre-training only), its figures 2 and 3, the layers that each task listens to, dev curves, and a place
among the leaderboard's published rows. Seeds show as mean ± standard deviation; what was not measured stays empty.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "results", nargs="+", type=Path, metavar="RESULTS", help="folders with results.json, or YAML tables, see below"
    )
    p.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets report.html and figures/; an earlier report there is replaced",
    )
    p.add_argument("--title", default="SUPERB report", metavar="TEXT", help="of the page; default: %(default)s")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Writes the report; returns the exit status."""
    arguments = parser().parse_args(argv)
    is_table = {path: path.suffix in (".yaml", ".yml") for path in arguments.results}
    tables = {path.stem: read_table(path) for path, table in is_table.items() if table}
    runs = [path for path, table in is_table.items() if not table]
    print(f"Report: {write_report(arguments.out, collect(runs) if runs else None, tables, arguments.title)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
