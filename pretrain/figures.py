"""A figure of held-out clips, such as how often a sound finds its picture: from its parts, one a clip."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mmpt.upstream.errors import InputError

if TYPE_CHECKING:
    from mmpt.upstream.statistics.intervals import Interval

RESAMPLES = 999  # of an interval's bootstrap: a validation takes more than a dozen


@dataclass(frozen=True)
class HeldOutClip:
    """A clip that was validated.

    Args:
        group: of its manifest: a speaker or an action.
        cluster: which clips belong together when an interval is taken: its group, or else its recording.
    """

    group: str
    id: str
    cluster: str


@dataclass(frozen=True)
class Figure:
    """A ratio of two sums over clips.

    Args:
        clips: (N,).
        counts: what each clip adds above the line (N,): 1 for a hit, or a sum of squared errors.
        units: what it adds below (N,); default: 1, so that the figure is a mean over clips.
        chance: what guessing gets; None if the figure is no share.
    """

    clips: list[HeldOutClip]
    counts: np.ndarray
    units: np.ndarray = field(default_factory=lambda: np.ones(0))
    chance: float | None = None

    def __post_init__(self):
        if not len(self.units):
            object.__setattr__(self, "units", np.ones(len(self.clips)))

    @property
    def value(self) -> float:
        """The ratio; NaN if a part is NaN."""
        return float(self.counts.sum() / max(self.units.sum(), 1e-12))

    def interval(self) -> "Interval | None":
        """Return the 95 % interval over clusters; None for a single clip, or if a part is not finite."""
        # Imported here: training itself needs no scipy, which machines that are lent for a check may lack.
        from mmpt.upstream.statistics.intervals import interval
        from mmpt.upstream.statistics.items import Items

        names = tuple(clip.cluster.replace("+", "-") for clip in self.clips)  # "+" would join two clusters
        ids = tuple(clip.id for clip in self.clips)
        try:
            return interval(Items(ids, names, self.counts[None], self.units), resamples=RESAMPLES)
        except InputError:
            return None
