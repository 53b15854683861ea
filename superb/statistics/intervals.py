"""The interval that a score carries."""

from dataclasses import dataclass

from mmpt.superb.statistics.items import Items
from mmpt.superb.statistics.spread import spread


@dataclass(frozen=True)
class Interval:
    """Where the score lies for other speakers and other head seeds, with the confidence that was asked for.

    Args:
        low: as a share, like the score.
        high: likewise.
        method: how it was found, in plain words.
        clusters: roles, voices or recordings in the test set.
    """

    low: float
    high: float
    method: str
    clusters: int


def interval(items: Items, level: float = 0.95) -> Interval:
    """Return the interval of a score."""
    found = spread([items.counts], items.units, items.clusters)
    low, high = found.interval(items.score, level)
    return Interval(low, high, found.method, found.clusters)
