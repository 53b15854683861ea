"""Draw the paper's comparison from the results of runs: one self-contained page, and its figures as PNG and PDF."""

import argparse
import sys
from pathlib import Path

from mmpt.superb.results_folder import input_path, output_folder
from mmpt.upstream.command import clean_exit

EXAMPLES = """\
examples:
  python scripts/report.py runs/superb/first --out report
  python scripts/report.py runs/superb/lrs3 runs/superb/k600 runs/superb/vc2 --out report    several runs compared
  python scripts/report.py superb/report/paper_wer.yaml --out report                         the paper's own table

RESULTS are folders of scripts/superb/run.py or the quickstart (their results.json), or YAML tables of word errors in
the form of superb/report/paper_wer.yaml. The page has the tasks' scores with their 95 % intervals, comparisons between
encoders, scores by speaker, the worst utterances of ASR, the paper's table 1 (word errors by method, data set and
language, with the changes against scratch and against pre-training only), its figures 2 and 3, each task's weights of
the layers, dev curves, and a place among the leaderboard's published rows. Seeds show as mean ± standard deviation;
what was not measured stays empty.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = p.add_argument
    add("results", nargs="+", type=Path, metavar="RESULTS", help="folders with results.json, or YAML tables")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets report.html and figures/; an earlier report there is replaced",
    )
    add("--title", default="SUPERB report", metavar="TEXT", help="of the page; default: %(default)s")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Write the report; return the exit status."""
    arguments = parser().parse_args(argv)
    from mmpt.superb.report.collect import collect
    from mmpt.superb.report.page import write_report
    from mmpt.superb.report.word_errors import read_table

    paths = [input_path(path) for path in arguments.results]
    out = output_folder(arguments.out)
    tables = {path.stem: read_table(path) for path in paths if path.suffix in (".yaml", ".yml")}
    runs = [path for path in paths if path.suffix not in (".yaml", ".yml")]
    print(f"Report: {write_report(out, collect(runs) if runs else None, tables, arguments.title)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
