"""Which items of a test set belong together, and how far a score moves when clusters are left out or drawn anew."""

from collections.abc import Iterator, Sequence

import numpy as np

BATCH = 2_000_000  # numbers in one array of resamples: 16 MB


class Clusters:
    """The clusters of a test set. Items with the same speakers are added up first: they are one cell.

    Args:
        names: the cluster of each item (items,); two speakers in one item are joined by "+".
        units: (items,).
    """

    def __init__(self, names: Sequence[str], units: np.ndarray):
        cells, index = np.unique(np.asarray(names), return_inverse=True)
        speakers = [set(str(name).split("+")) for name in cells]
        place = {name: number for number, name in enumerate(sorted(set().union(*speakers)))}
        self.number = len(place)
        self._order = np.argsort(index, kind="stable")
        self._starts = np.searchsorted(index[self._order], np.arange(len(cells)))
        # (cells, most speakers in one): a place that is left over points to a weight of 1.
        self._speakers = np.full((len(cells), max(map(len, speakers))), self.number)
        self._membership = np.zeros((len(cells), self.number))
        for cell, inside in enumerate(speakers):
            places = [place[name] for name in inside]
            self._speakers[cell, : len(places)] = places
            self._membership[cell, places] = 1
        self.units = self.sums(units)
        self.sizes = self.of_clusters(self.units)

    @property
    def can_be_left_out(self) -> bool:
        """Return True if a score is left whichever cluster is left out."""
        return bool((self.sizes < self.units.sum()).all())

    @property
    def effective(self) -> float:
        """Return how many clusters of one size would tell as much: their number, or fewer if sizes differ."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Add up the items (..., items) of each cell (..., cells)."""
        return np.add.reduceat(values[..., self._order], self._starts, axis=-1)

    def of_clusters(self, values: np.ndarray) -> np.ndarray:
        """Add up the cells (..., cells) of each cluster (..., clusters)."""
        # Names are in the same order as cells: a product with the identity would take nearly all the time.
        return values if self._speakers.shape == (self.number, 1) else values @ self._membership

    def variance(self, counts: np.ndarray) -> float:
        """Return the jackknife's variance of the score of counts (cells,): each cluster is left out in turn."""
        return float(self.jackknife(counts, np.ones((1, self.number)))[1][0])

    def jackknife(self, counts: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the score and its variance (resamples,), if clusters come several times or not at all.

        Leaving out one cluster moves a ratio by (its counts - score · its units) / (all other units). The squares of
        these moves, added up and multiplied by (clusters - 1) / clusters, are the variance. NaN where nothing is left.

        Args:
            counts: (cells,).
            times: how often each cluster was drawn (resamples, clusters).
        """
        weights = self.weights(times)
        with np.errstate(invalid="ignore", divide="ignore"):
            total = weights @ self.units
            score = (weights @ counts) / total
            residuals = weights * (counts - score[:, None] * self.units)
            # All copies of a cluster move the score alike: work out one, and count it as often as it was drawn.
            copies = np.maximum(times, 1)
            moved = self.of_clusters(residuals) / copies
            left = total[:, None] - self.of_clusters(weights * self.units) / copies
            squares = np.where(times > 0, times * (moved / left) ** 2, 0).sum(axis=1)
        return score, squares * (self.number - 1) / self.number

    def weights(self, times: np.ndarray) -> np.ndarray:
        """Return how often each cell comes (resamples, cells): the product over its speakers."""
        padded = np.concatenate([times, np.ones((len(times), 1))], axis=1)
        return padded[:, self._speakers].prod(axis=2)

    def draws(self, resamples: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        """Draw clusters with replacement, as many as there are; yield how often each came, in batches."""
        most = max(1, BATCH // (max(self._speakers.size, self.number)))
        for first in range(0, resamples, most):
            rows = min(most, resamples - first)
            drawn = random.integers(self.number, size=(rows, self.number)) + self.number * np.arange(rows)[:, None]
            yield np.bincount(drawn.ravel(), minlength=rows * self.number).reshape(rows, -1).astype(float)
