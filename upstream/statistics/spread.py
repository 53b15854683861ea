"""How far a score, or a difference of two, may be off: between the clusters of a test set, and between head seeds.

Both parts are measured and added:

- Clusters: the variance of the jackknife, which leaves out one cluster at a time. It holds the items' noise, too.
- Head seeds: the variance between the seeds' scores, less what the same noise gives them, so that it counts once.

The critical value comes from a studentised bootstrap (Efron and Tibshirani, 1993, An introduction to the bootstrap,
chapter 12), or, with few clusters, from Student's t with Satterthwaite's degrees of freedom. The plain bootstrap's
percentiles are too narrow for so few clusters and seeds: see scripts/benchmark/interval_coverage.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, nctdtrinc, stdtr, stdtrit

from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.clusters import Clusters

# Below either, Student's t: the bootstrap's intervals are too narrow.
FEWEST_TO_RESAMPLE = 10  # clusters
FEWEST_EFFECTIVE = 7.0  # clusters of one size that would tell as much
RESAMPLES = 9_999
SEED = 19


@dataclass(frozen=True)
class Student:
    """The law of |estimate - truth| / error: Student's t."""

    freedom: float

    def quantile(self, share: float) -> float:
        return float(stdtrit(self.freedom, (1 + share) / 2))

    def p_value(self, ratio: float) -> float:
        return float(2 * stdtr(self.freedom, -ratio))


@dataclass(frozen=True)
class Resampled:
    """The law of |estimate - truth| / error, as resamples show it.

    Args:
        ratios: one of each resample, ascending.
    """

    ratios: np.ndarray

    def quantile(self, share: float) -> float:
        return float(np.quantile(self.ratios, share))

    def p_value(self, ratio: float) -> float:
        beyond = len(self.ratios) - np.searchsorted(self.ratios, ratio)
        return float((1 + beyond) / (1 + len(self.ratios)))


@dataclass(frozen=True)
class Spread:
    """The standard error of a score or of a difference.

    Args:
        error: as a share, like the score.
        law: of the distance from the truth, in standard errors.
        freedom: Satterthwaite's degrees of freedom of the error.
        method: in plain words.
        clusters: in the test set.
    """

    error: float
    law: Student | Resampled
    freedom: float
    method: str
    clusters: int

    def half_width(self, level: float) -> float:
        """Return half the width of the interval."""
        return self.law.quantile(level) * self.error

    def p_value(self, difference: float) -> float:
        """Return p of the two-sided test that the true difference is 0."""
        if not difference:
            return 1.0
        return self.law.p_value(abs(difference) / self.error if self.error else np.inf)

    def smallest(self, level: float, power: float) -> float:
        """Return the true difference that the test finds in a share `power` of cases, by the noncentral t."""
        shift = nctdtrinc(self.freedom, 1 - power, self.law.quantile(1 - level))
        # An error that is estimated from few clusters is on average too small: by c4 of control charts.
        half = self.freedom / 2
        too_small = np.exp(gammaln(half + 0.5) - gammaln(half)) / np.sqrt(half)
        return float(shift * self.error / too_small)


@dataclass(frozen=True)
class SeedPart:
    """What the head seeds of one encoder, or of both, add to the variance.

    Args:
        variance: of the mean over seeds, as the seeds' scores show it: noise of items and clusters included.
        noise: the part of it that is such noise; the clusters' variance holds it already.
        freedom: seeds less one.
    """

    variance: float
    noise: float
    freedom: int


def spread(runs: Sequence[np.ndarray], units: np.ndarray, names: Sequence[str], resamples: int = RESAMPLES) -> Spread:
    """Return the standard error of a score (one run) or of a difference (the second run minus the first).

    Args:
        runs: counts (seeds, items) of one encoder, or of two whose seeds are independent.
        units: (items,).
        names: the cluster of each item (items,).
        resamples: of the bootstrap.

    Raises:
        InputError: there is a single item.
    """
    clusters, over = Clusters(names, units), "clusters"
    if not clusters.can_be_left_out:
        clusters, over = Clusters([str(index) for index in range(len(units))], units), "items, for these speakers"
    if not clusters.can_be_left_out:
        raise InputError("test items: an interval needs at least two that are not empty")
    cells = [clusters.sums(run) for run in runs]
    mean = cells[-1].mean(axis=0) - (cells[0].mean(axis=0) if len(runs) == 2 else 0)
    # Whole numbers have a smallest step: a test set without any error does not prove that there is none.
    whole = all((run == np.round(run)).all() for run in runs)
    least = (1 / units.sum()) ** 2 if whole else 0.0
    seen = clusters.variance(mean)
    variance = max(seen, least)
    seeds = seed_parts(cells, clusters)
    added = max(0.0, sum(part.variance - part.noise for part in seeds))
    error = float(np.sqrt(variance + added))
    free = freedom(variance, added, seeds, clusters)
    law: Student | Resampled
    too_few = clusters.number < FEWEST_TO_RESAMPLE or clusters.effective < FEWEST_EFFECTIVE
    if too_few or not seen:
        law, name = Student(free), "Student's t"
    else:
        law, name = Resampled(resampled_ratios(mean, clusters, seeds, least, resamples)), "bootstrap"
    method = f"{name} over {clusters.number} {over}{seeds_in_words([len(run) for run in runs])}"
    return Spread(error, law, free, method, Clusters(names, units).number)


def seed_parts(cells: Sequence[np.ndarray], clusters: Clusters) -> list[SeedPart]:
    """Return the part of each encoder's seeds (seeds, cells). One with a single seed borrows from the other."""
    parts = []
    for run in cells:
        seeds = len(run)
        if seeds > 1:
            variance = (run.sum(axis=1) / clusters.units.sum()).var(ddof=1) / seeds
            noise = sum(clusters.variance(seed) for seed in run - run.mean(axis=0)) / (seeds * (seeds - 1))
            parts.append(SeedPart(float(variance), noise, seeds - 1))
    if len(parts) == 1 and len(cells) == 2:
        [part] = parts
        times = part.freedom + 2  # (1 + 1 / seeds) / (1 / seeds)
        return [SeedPart(part.variance * times, part.noise * times, part.freedom)]
    return parts


def freedom(variance: float, added: float, seeds: Sequence[SeedPart], clusters: Clusters) -> float:
    """Return Satterthwaite's degrees of freedom of the sum of the clusters' variance and what seeds add."""
    of_clusters = max(1.0, clusters.effective - 1)
    if not added:
        return of_clusters
    parts = [part.variance**2 / part.freedom + part.noise**2 / (part.freedom * of_clusters) for part in seeds]
    found = (variance + added) ** 2 / (variance**2 / of_clusters + sum(parts))
    # A sum has at least the freedom of its weakest part; the noise, which is taken off, can make it seem less.
    return float(max(found, min(of_clusters, *(part.freedom for part in seeds))))


def resampled_ratios(
    mean: np.ndarray, clusters: Clusters, seeds: Sequence[SeedPart], least: float, resamples: int
) -> np.ndarray:
    """Return |resampled - measured| / resampled error, ascending: clusters and seeds are drawn anew in each resample.

    Two or three seeds cannot be drawn from themselves: their mean and their variance are drawn from the laws that they
    have if the scores of seeds are normally distributed.
    """
    random = np.random.default_rng(SEED)
    variance, noise = sum(part.variance for part in seeds), sum(part.noise for part in seeds)
    # Take the noise out of the seeds' mean, but not all of it: a variance from so few seeds is often far too small.
    # This share keeps the coverage of one encoder with three seeds and of two within the bounds.
    all_freedom = max(1, sum(part.freedom for part in seeds))
    kept = max(0.0, 1 - (all_freedom - 1) / all_freedom * noise / variance) if variance else 0.0
    ratios = []
    for times in clusters.draws(resamples, random):
        score, drawn_variance = clusters.jackknife(mean, times)
        moved = score - mean.sum() / clusters.units.sum()
        drawn_seeds = np.full(len(times), -noise)
        for part in seeds:
            moved += random.standard_normal(len(times)) * np.sqrt(kept * part.variance)
            drawn_seeds += random.chisquare(part.freedom, len(times)) / part.freedom * part.variance
        total = np.maximum(drawn_variance, least) + np.maximum(drawn_seeds, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios.append(np.abs(moved) / np.sqrt(total))
    together = np.concatenate(ratios)
    return np.sort(together[~np.isnan(together)])


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Return what an interval says about seeds."""
    if max(seeds) == 1:
        return ", for this head seed"
    return f" and {' and '.join(str(number) for number in dict.fromkeys(seeds))} head seeds"
