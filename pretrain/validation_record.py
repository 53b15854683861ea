"""`validation.tsv` of a run: each figure of each validation of stage 1 with its 95 % interval. Imports no torch."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmpt.upstream.files import write_text

if TYPE_CHECKING:
    from mmpt.pretrain.figures import Figure

FILE = "validation.tsv"
COLUMNS = ("step", "figure", "value", "low", "high", "chance", "clips", "clusters")


@dataclass(frozen=True)
class Row:
    """A figure after some updates. NaN: not known.

    Args:
        low: of the 95 % interval.
        high: likewise.
        chance: what guessing gets.
        clips: that the figure is of.
        clusters: of these clips: speakers, actions or recordings.
    """

    step: int
    figure: str
    value: float
    low: float
    high: float
    chance: float
    clips: int
    clusters: int


def record(folder: Path, step: int, figures: "dict[str, Figure]") -> list[Row]:
    """Add a validation to a run's file, whole or not at all; return all rows, in the order of steps.

    A resumed run may validate again what it had validated before it was interrupted: this step and later ones in the
    file are replaced.
    """
    rows = [row for row in read_record(folder) if row.step < step]
    rows += [_row(step, name, figure) for name, figure in figures.items()]
    lines = ["\t".join(COLUMNS), *("\t".join(_text(getattr(row, name)) for name in COLUMNS) for row in rows)]
    write_text(folder / FILE, "\n".join(lines) + "\n")
    return rows


def _row(step: int, name: str, figure: "Figure") -> Row:
    found = figure.interval()
    chance = math.nan if figure.chance is None else figure.chance
    low, high = (found.low, found.high) if found else (math.nan, math.nan)
    if figure.chance is not None:  # a share
        high = min(1.0, high)
    clusters = len({clip.cluster for clip in figure.clips})
    return Row(step, name, figure.value, low, high, chance, len(figure.clips), clusters)


def read_record(folder: Path) -> list[Row]:
    """Return the rows of a run's file; none if there is no file."""
    if not (folder / FILE).is_file():
        return []
    with (folder / FILE).open(encoding="utf-8", newline="") as file:
        return [_parsed(cells) for cells in csv.DictReader(file, delimiter="\t")]


def _parsed(cells: dict[str, str]) -> Row:
    value, low, high, chance = (float(cells[name] or "nan") for name in COLUMNS[2:6])
    return Row(
        int(cells["step"]), cells["figure"], value, low, high, chance, int(cells["clips"]), int(cells["clusters"])
    )


def _text(value: float | int | str) -> str:
    """Write a cell; nothing for NaN."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
