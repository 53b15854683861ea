"""Answer "is B better than A?": compare two encoders that SUPERB runs have scored, task by task."""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from mmpt.superb.results_folder import input_path
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.nearest import did_you_mean

if TYPE_CHECKING:
    from mmpt.superb.statistics.encoder_in_run import EncoderInRun
    from mmpt.superb.statistics.pairs import Pair

WIDTH = 100  # of a terminal
EXAMPLES = """\
examples:
  mmpt superb compare runs/quickstart:untrained runs/quickstart:midtrained
      two encoders of one run
  mmpt superb compare runs/superb/before runs/superb/after
      two runs of one encoder each, on the same test data

The test is paired (both encoders have heard the same items) and takes items of one speaker together. Its p-values are
corrected by Holm for one figure a task: accuracy of KS and IC, PER of PR, DER of SD, CER of ASR. Words of ASR and
test-other are shown beside them.
"""
LEGEND = """\
B − A: points, with a 95 % interval that is not corrected. p Holm: corrected for {count}.
McNemar: as if items were independent. could show: the difference found in 4 cases of 5 at 5 %."""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = "a run's folder with results.json, and which of its encoders, if there are several"
    p.add_argument("a", metavar="DIR[:ENCODER]", help=f"A, the baseline: {where}")
    p.add_argument("b", metavar="DIR[:ENCODER]", help="B, likewise")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Compare and print; return the exit status: 0, or 2 after bad input."""
    arguments = parser().parse_args(argv)

    from mmpt.superb.statistics.metrics import ITEMS
    from mmpt.superb.statistics.pairs import compare_pairs
    from mmpt.superb.statistics.wording import comparison_table, rate_notes, training_notes, verdict

    pair = read_encoder(arguments.a, "A"), read_encoder(arguments.b, "B")
    rows, problems = compare_pairs([pair])
    if not rows:
        raise InputError(problems[0] if problems else f"{arguments.a}, {arguments.b}: no task was tested in both")
    for encoder in pair:
        print(f"{encoder.label}: {encoder.folder}")
    print("\n" + comparison_table([shown for row in rows for shown in [row, *shown_beside(pair, row)]]))
    print(LEGEND.format(count=f"{len(rows)} figures" if len(rows) > 1 else "one figure"))
    for row in rows:
        print(f"{row['task'].upper()}: {row['items']} {ITEMS[row['task']]}, {row['method']}")
    tasks = [row["task"] for row in rows]
    for line in [*problems, *rate_notes(pair, tasks), *training_notes(pair, tasks)]:
        print(textwrap.fill(line, WIDTH))
    print("\n" + textwrap.fill(f"{verdict(rows, str(pair[0]), str(pair[1]))}.", WIDTH))
    return 0


def read_encoder(text: str, letter: str) -> "EncoderInRun":
    """Return the encoder that DIR[:ENCODER] names, to be shown with the letter.

    Raises:
        InputError: there is no results.json, no such encoder, or several of them.
    """
    from mmpt.superb.results import read_results
    from mmpt.superb.statistics.encoder_in_run import EncoderInRun

    folder, _, name = (text, "", "") if Path(text).exists() or ":" not in text else text.rpartition(":")
    path = input_path(Path(folder))
    content = read_results(path)
    names = [entry["name"] for entry in content["encoders"]]
    if not name and len(names) != 1:
        raise InputError(f"{text}: holds {len(names)} encoders ({', '.join(names)}): name one, as {folder}:{names[-1]}")
    if name and name not in names:
        hint = did_you_mean(name, names, otherwise=f"there are {', '.join(names)}")
        raise InputError(f"{folder}: holds no encoder '{name}'; {hint}")
    found = name or names[0]
    return EncoderInRun(found, content, path if path.is_dir() else path.parent, label=f"{letter} ({found})")


def shown_beside(pair: "Pair", row: dict) -> list[dict]:
    """Return the other figures of a row's task that both were tested for: words of ASR, and its test-other."""
    from mmpt.superb.statistics.metrics import shown_metrics
    from mmpt.superb.statistics.pairs import compare_cell

    task, cell = row["task"], (row["split"], row["metric"])
    splits = dict.fromkeys(entry["split"] for entry in pair[0].content["summary"] if entry["task"] == task)
    both = [split for split in splits if all(encoder.summary(task, split) for encoder in pair)]
    cells = [(split, metric) for split in both for metric in shown_metrics(task)]
    return [compare_cell(pair, task, *one) for one in cells if one != cell]


if __name__ == "__main__":
    sys.exit(main())
