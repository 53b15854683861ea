"""How far a ratio of sums may be off: between the clusters of a test set, and between head seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Spread:
    """The standard error of a score or of a difference.

    Args:
        error: as a share, like the score.
        freedom: degrees of freedom of its Student's t.
        method: in plain words.
        clusters: in the test set.
    """

    error: float
    freedom: float
    method: str
    clusters: int

    def interval(self, centre: float, level: float) -> tuple[float, float]:
        """Return the limits of the interval around a score."""
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        return centre - half, centre + half


def spread(runs: Sequence[np.ndarray], units: np.ndarray, names: Sequence[str]) -> Spread:
    """Return the standard error of a score (one run of seeds) or of a difference (second run minus the first).

    Args:
        runs: counts (seeds, items) of one encoder, or of two.
        units: (items,).
        names: the cluster of each item.
    """
    mean = runs[-1].mean(0) if len(runs) == 1 else runs[1].mean(0) - runs[0].mean(0)
    index = np.unique(list(names), return_inverse=True)[1]
    clusters = int(index.max()) + 1
    method = f"Student's t over {clusters} clusters"
    if clusters == 1:
        index, method = np.arange(len(units)), f"Student's t over {len(units)} items, for these speakers"
    groups = int(index.max()) + 1
    residuals = np.bincount(index, mean - units * (mean.sum() / units.sum()))
    variance = groups / max(groups - 1, 1) * (residuals**2).sum() / units.sum() ** 2
    for counts in runs:
        if len(counts) > 1:
            variance += (counts.sum(1) / units.sum()).var(ddof=1) / len(counts)
    return Spread(float(variance) ** 0.5, max(groups - 1, 1), method, clusters)
