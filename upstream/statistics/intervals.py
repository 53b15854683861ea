"""The interval that a score carries."""

from dataclasses import dataclass

from mmpt.upstream.statistics.items import Items
from mmpt.upstream.statistics.spread import RESAMPLES, spread


@dataclass(frozen=True)
class Interval:
    """Where the score lies for other speakers and, if there are several, other head seeds.

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


def interval(items: Items, level: float = 0.95, resamples: int = RESAMPLES) -> Interval:
    """Return the interval that holds the true score in `level` of all cases. Scores below 0 are cut off.

    Raises:
        InputError: the test set has a single item.
    """
    found = spread([items.counts], items.units, items.clusters, resamples)
    half = found.half_width(level)
    high = items.score + half
    return Interval(
        low=max(0.0, items.score - half),
        high=min(1.0, high) if items.right_or_wrong else high,
        method=found.method,
        clusters=found.clusters,
    )
