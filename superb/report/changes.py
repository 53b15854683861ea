"""By how much training an encoder changed its scores, with the intervals of these changes."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from mmpt.superb.report.rows import Cell, EncoderRow
from mmpt.superb.report.word_errors import SPLITS
from mmpt.superb.statistics.metrics import is_better
from mmpt.superb.statistics.pairs import compare_cell
from mmpt.upstream.errors import InputError

SAME = 1e-6  # points by which sums in another order may differ
Ends = tuple[float, float]  # of an interval, low and high


@dataclass(frozen=True)
class Change:
    """How much better a score is than the baseline's.

    Args:
        value: per cent of the baseline's score; positive is better.
        interval: of 95 %; None without a paired comparison.
    """

    value: float
    interval: Ends | None = None


def change(row: EncoderRow, baseline: EncoderRow, cell: Cell, comparisons: list[dict]) -> Change | None:
    """Return the change of one figure; None if a score is missing, or the baseline's is 0.

    The interval is that of the difference, as a share of the baseline's score. It comes from `comparisons`, or from the
    predictions if they are there.

    Args:
        row: the encoder.
        baseline: what it is compared with.
        cell: the figure.
        comparisons: those of results.json, under the rows' names.
    """
    new, old = row.mean(cell), baseline.mean(cell)
    if new is None or not old:
        return None
    sign = 1 if is_better(cell[2], 1.0) else -1
    interval = None
    for one in _compared(row, baseline, cell, comparisons):
        if abs(100 * one["difference"] - (new - old)) < SAME:  # of the same seeds
            low, high = sorted(sign * 100 * 100 * one[end] / old for end in ("low", "high"))
            interval = (low, high)
            break
    return Change(sign * 100 * (new - old) / old, interval)


def _compared(row: EncoderRow, baseline: EncoderRow, cell: Cell, comparisons: list[dict]) -> Iterator[dict]:
    """Yield comparisons of one figure: known ones first."""
    wanted = (row.name, baseline.name, *cell)
    for one in comparisons:
        if (one["encoder"], one["baseline"], one["task"], one["split"], one["metric"]) == wanted:
            yield one
    for pair in product(baseline.runs, row.runs):
        with contextlib.suppress(InputError):  # predictions are gone, or of other test items
            yield compare_cell(pair, *cell)


def baselines(rows: list[EncoderRow], row: EncoderRow) -> dict[str, EncoderRow]:
    """Return what an encoder is compared with: the same one before mid-training, and the untrained one."""
    before = [
        o
        for o in rows
        if o.kind == "pre-trained" and (o.method, o.data, o.fine_tuned) == (row.method, row.data, row.fine_tuned)
    ]
    scratch = [o for o in rows if o.kind == "untrained" and o.fine_tuned == row.fine_tuned]
    found = {"pre-training only": before[0]} if row.kind == "mid-trained" and before else {}
    return found | ({"untrained": scratch[0]} if row.kind in ("pre-trained", "mid-trained") and scratch else {})


def gain_intervals(rows: list[EncoderRow], comparisons: list[dict]) -> dict[tuple[str, str, str], Ends]:
    """Return the intervals of mid-training's gains in word errors that a single pair of encoders makes.

    Returns:
        Test set (clean, other), "method", "language" or "data", and its name → the interval.
    """
    groups: dict[tuple[str, str], list[EncoderRow]] = {}
    for row in rows:
        if row.kind == "mid-trained" and "pre-training only" in baselines(rows, row):
            for what, name in (("method", row.method), ("language", row.language), ("data", row.data)):
                groups.setdefault((what, str(name)), []).append(row)
    found = {}
    for (what, name), group in groups.items():
        before = [o for o in rows if o.kind == "pre-trained" and (o.method, o.data) == (group[0].method, group[0].data)]
        if len(group) == len(before) == 1:
            for split in SPLITS:
                one = change(group[0], before[0], ("asr", f"test-{split}", "wer"), comparisons)
                if one and one.interval:
                    found[split, what, name] = one.interval
    return found
