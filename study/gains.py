"""What mid-training gains over the same encoders without it: for one pair of encoders, or for several together."""

import contextlib
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from mmpt.study.names import language_name, method_name
from mmpt.study.pairs import first_language, of_kind
from mmpt.study.record import MadeEncoder
from mmpt.study.scored import ScoredStudy
from mmpt.superb.report.changes import Change, change
from mmpt.superb.report.rows import Cell, EncoderRow
from mmpt.superb.statistics.comparison import compare, in_the_order_of
from mmpt.superb.statistics.metrics import is_better
from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.items import Items

Pair = tuple[MadeEncoder, MadeEncoder]  # before and after mid-training


def trained_pairs(scored: ScoredStudy) -> list[Pair]:
    """Return each mid-trained encoder with the one that it began with: the untrained one if it was none."""
    by_name = {encoder.name: encoder for encoder in scored.encoders}
    untrained = of_kind(scored.encoders, "untrained")
    pairs = []
    for after in of_kind(scored.encoders, "midtrained"):
        starts = [by_name[after.start]] if after.start else untrained[:1]
        pairs += [(before, after) for before in starts]
    return pairs


def groups(scored: ScoredStudy) -> dict[str, dict[str, list[Pair]]]:
    """Return "method", "language" and "data" → what is compared there → its pairs of encoders.

    Within a group nothing else differs: methods are compared in the first language, on all clips; languages from the
    same encoders; sets of clips in the first method and language. A group of a single one compares nothing and is left
    out.
    """
    pairs, first = trained_pairs(scored), first_language(scored.encoders)
    whole = [pair for pair in pairs if pair[1].data in (None, "all")]
    languages = list(dict.fromkeys(after.language for _, after in pairs))
    starts = [{before.name for before, after in whole if after.language == language} for language in languages]
    common = set.intersection(*starts) if starts else set()
    objective = next((after.objective for _, after in pairs if after.objective), None)
    found = {
        "method": _grouped([(method_name(p[1]), p) for p in whole if p[1].language == first]),
        "language": _grouped([(language_name(p[1].language), p) for p in whole if p[0].name in common]),
        "data": _grouped(
            [(p[1].data or "", p) for p in pairs if (p[1].objective, p[1].language) == (objective, first)]
        ),
    }
    return {what: group for what, group in found.items() if len(group) > 1}


def gain(scored: ScoredStudy, pairs: Sequence[Pair], cell: Cell) -> Change | None:
    """Return by how much the encoders after training are better than those before, as a share of the latter's mean.

    It is a ratio of means, as the paper's. The interval is that of the difference of the means: each item's counts are
    averaged over the encoders before the clusters are left out and drawn, because all encoders are tested on the same
    speakers. None if a score is missing.
    """
    names = [(pair[0].name, pair[1].name) for pair in pairs]
    if not all(name in scored.rows and cell in scored.rows[name].scores for pair in names for name in pair):
        return None
    rows = [(scored.rows[first], scored.rows[second]) for first, second in names]
    if len(rows) == 1:
        return change(rows[0][1], rows[0][0], cell, scored.found.all_comparisons())
    old, new = (fmean(row.scores[cell].mean for row in side) for side in zip(*rows))
    if not old:
        return None
    sign = 1 if is_better(cell[2], 1.0) else -1
    interval = None
    with contextlib.suppress(InputError, KeyError):  # predictions are gone, or of different seeds
        before, after = (mean_items([_items(row, cell) for row in side]) for side in zip(*rows))
        found = compare(before, after)
        low, high = sorted(sign * 100 * 100 * end / old for end in (found.low, found.high))
        interval = (low, high)
    return Change(sign * 100 * (new - old) / old, interval)


def mean_items(encoders: Sequence[Items]) -> Items:
    """Return test items whose counts (seeds, items) are the mean over encoders, head seed by head seed.

    Raises:
        InputError: they were tested on different items, or with different numbers of head seeds.
    """
    first, *others = encoders
    same = [first, *(in_the_order_of(first, other) for other in others)]
    if len({len(items.counts) for items in same}) > 1:
        raise InputError("encoders with different numbers of head seeds have no common mean")
    return Items(first.ids, first.clusters, np.mean([items.counts for items in same], axis=0), first.units)


def _items(row: EncoderRow, cell: Cell) -> Items:
    task, split, metric = cell
    return row.runs[0].items(task, split)[metric]


def _grouped(pairs: Sequence[tuple[str, Pair]]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for name, pair in pairs:
        found.setdefault(name, []).append(pair)
    return found
