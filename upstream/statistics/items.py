"""A score of one encoder on one test set, item by item."""

from dataclasses import dataclass

import numpy as np

from mmpt.upstream.errors import InputError


@dataclass(frozen=True)
class Items:
    """What each test item adds to a score that is a ratio of two sums, for each head seed.

    The score of a seed is its sum of counts over the sum of units; the score is the mean over seeds.

    - Accuracy: counts 1 where right, else 0; units 1.
    - Word, character and phone error rate: edits, and the length of the reference.
    - Diarization error rate: wrong seconds, and spoken seconds. A mean over recordings: each one's rate; units 1.

    Args:
        ids: of the test items (items,), each once.
        clusters: for each item, the role, voice or recording that it shares with others (items,). Two speakers in one
            item are joined by "+": the item then belongs to both.
        counts: (seeds, items), not negative.
        units: (items,), not negative, the same for all seeds.

    Raises:
        InputError: the shapes do not fit, an id comes twice, or a number is negative or not finite.
    """

    ids: tuple[str, ...]
    clusters: tuple[str, ...]
    counts: np.ndarray
    units: np.ndarray

    def __post_init__(self):
        counts, units = np.asarray(self.counts, dtype=float), np.asarray(self.units, dtype=float)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "units", units)
        items = len(self.ids)
        if len(self.clusters) != items or units.shape != (items,) or counts.ndim != 2 or counts.shape[1] != items:
            sizes = f"{items} ids, {len(self.clusters)} clusters, counts {counts.shape}, units {units.shape}"
            raise InputError(f"test items: the sizes do not fit: {sizes}")
        if not items or not len(counts):
            raise InputError("test items: there are none; a score needs at least one item and one seed")
        if len(set(self.ids)) < items:
            twice = next(name for index, name in enumerate(self.ids) if name in self.ids[:index])
            raise InputError(f"test items: {twice} comes twice; give each item once")
        for values in (counts, units):
            if not np.isfinite(values).all() or values.min() < 0:
                raise InputError("test items: counts and units must be finite and not negative")
        if not units.sum():
            raise InputError("test items: all units are 0; a score needs a reference that is not empty")

    @property
    def seed_scores(self) -> np.ndarray:
        """Return the score of each seed (seeds,), as a share, not per cent."""
        return self.counts.sum(axis=1) / self.units.sum()

    @property
    def score(self) -> float:
        """Return the mean over seeds, as a share, not per cent."""
        return float(self.seed_scores.mean())

    @property
    def right_or_wrong(self) -> bool:
        """Return True if the score is a share of items, as accuracy is."""
        return bool(np.isin(self.counts, (0, 1)).all() and (self.units == 1).all())
