"""What stands under the table of scores: how intervals and learning rates were found."""

from collections.abc import Iterable

from mmpt.superb.report.collect import Collection
from mmpt.superb.statistics.metrics import PRIMARY
from mmpt.superb.statistics.wording import listed, numbers


def interval_note(found: Collection) -> str:
    """Return how the intervals of the figures that comparisons count were found; empty if there are none."""
    methods: dict[str, dict[str, None]] = {}
    for row in found.rows:
        for (task, split, metric), score in row.scores.items():
            if score.interval and metric == PRIMARY[task]:
                of_split = "" if split == "test" else f" {split.removeprefix('test-')}"
                methods.setdefault(f"{task.upper()}{of_split}", {})[score.method] = None
    texts = [
        f"{listed(names)}: {how}" for how, names in _grouped((" or ".join(how), test) for test, how in methods.items())
    ]
    return f"In brackets: 95 % interval ({'; '.join(texts)})." if texts else ""


def rates_note(found: Collection) -> str:
    """Return whether dev chose the learning rates from one grid for all encoders; empty if no run tells.

    A fixed rate favours the encoder that it suits.
    """
    grids: dict[str, set[tuple[float, ...]]] = {}
    for row in found.rows:
        for task, rates in row.rates.items():
            grids.setdefault(task, set()).add(rates)
    texts = []
    for how, names in _grouped((_grids_in_words(rates), task.upper()) for task, rates in grids.items() if any(rates)):
        texts.append(f"{listed(names)}: {how}")
    return f"Learning rates: {'; '.join(texts)}." if texts else ""


def _grids_in_words(grids: set[tuple[float, ...]]) -> str:
    if len(grids) > 1:
        return "not from the same grid for all encoders, so that they do not compare"
    [rates] = grids
    if len(rates) > 1:
        return f"chosen on dev from {numbers(rates)}, the same for all encoders"
    return f"{numbers(rates)} for all encoders, not chosen on dev, which favours those that it suits"


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Return text → names, in the order of first appearance."""
    groups: dict[str, list[str]] = {}
    for text, name in pairs:
        groups.setdefault(text, []).append(name)
    return list(groups.items())
