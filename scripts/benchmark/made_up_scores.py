"""Make up the items of scores whose truth is known, with the clusters, sizes and rates of the test sets of samples/."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from mmpt.upstream.statistics.items import Items

WORDS = np.array([34, 29, 24, 24, 20, 20, 18, 17, 17, 9, 8, 6, 5, 5] + 32 * [1])  # of roles; each silence by itself
INTENTS = np.full(9, 71)  # of voices
UTTERANCES = np.array([*10 * [60], 57, 45, 23, 20])  # of roles
MIXTURES = 120  # of two roles
SEED = 19


@dataclass(frozen=True)
class Nature:
    """How items differ in how hard they are for an encoder's head. The variance without `seed_spread` is 1.

    Half of what an item or its cluster adds is the same for both encoders. Half of an item's part, and a fifth of a
    cluster's, differ between head seeds.

    Args:
        correlation: of the items of one cluster.
        seed_spread: standard deviation between heads.
        seeds: of each encoder.
    """

    correlation: float
    seed_spread: float
    seeds: int

    @property
    def deviation(self) -> float:
        return float(np.sqrt(1 + self.seed_spread**2))

    def hardness(self, members: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Draw for two encoders (2, seeds, items).

        Args:
            members: the clusters of each item (items, 1 or 2).
            random: generator.
        """
        items, clusters = len(members), members.max() + 1
        of_item = (1 - members.shape[1] * self.correlation) / 2
        of_cluster = self.effects(clusters, 0.8 * self.correlation, random)[:, None]
        of_cluster = of_cluster + self.effects(clusters, 0.2 * self.correlation, random, self.seeds)
        hard = of_cluster[..., members].sum(axis=-1) + self.effects(items, of_item, random)[:, None]
        hard += np.sqrt(of_item) * random.standard_normal(hard.shape)
        return hard + self.seed_spread * random.standard_normal((2, self.seeds, 1))

    def effects(self, number: int, variance: float, random: np.random.Generator, seeds: int = 0) -> np.ndarray:
        """Draw effects (2, number), half of their variance shared; or of each seed (2, seeds, number), none shared."""
        if seeds:
            return np.sqrt(variance) * random.standard_normal((2, seeds, number))
        return np.sqrt(variance / 2) * (random.standard_normal(number) + random.standard_normal((2, number)))


# Makes counts (2, seeds, items) and units (items,) from the true scores (2, 1, 1), hardness and its deviation.
Made = tuple[np.ndarray, np.ndarray]
Maker = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], Made]


def accuracy(scores: np.ndarray, hardness: np.ndarray, deviation: float, random: np.random.Generator) -> Made:
    """Return 1 where an item is right."""
    return (hardness < ndtri(scores) * deviation).astype(float), np.ones(hardness.shape[-1])


def edits(scores: np.ndarray, hardness: np.ndarray, deviation: float, random: np.random.Generator) -> Made:
    """Return the edits in utterances of 1 to 25 words or phones; 7 % of them are insertions."""
    length = np.minimum(random.geometric(1 / 7, hardness.shape[-1]), 25)
    chance = ndtr(ndtri(0.93 * scores) * np.sqrt(1 + deviation**2) + hardness)
    inserted = random.poisson(0.07 * scores * length, hardness.shape)
    return (random.binomial(length, chance) + inserted).astype(float), length.astype(float)


def rates(scores: np.ndarray, hardness: np.ndarray, deviation: float, random: np.random.Generator) -> Made:
    """Return the error rate of each recording: log-normal, so that a few are far worse than the rest."""
    spread = 0.6
    return scores * np.exp(spread * hardness - (spread * deviation) ** 2 / 2), np.ones(hardness.shape[-1])


@dataclass(frozen=True)
class Design:
    """A test set to make up.

    Args:
        score: the true one.
        sizes: items of each cluster; with `recordings`, how many clusters there are.
        make: see `Maker`.
        recordings: of two speakers each, any two of the clusters; 0 if an item has one speaker.
    """

    score: float
    sizes: np.ndarray
    make: Maker
    recordings: int = 0

    def sets(self, number: int, nature: Nature, shift: float = 0.0) -> Iterator[tuple[Items, Items]]:
        """Make test sets with two encoders whose true scores lie `shift` apart, around the design's."""
        random = np.random.default_rng(SEED)
        scores = self.score + shift * np.array([-0.5, 0.5])[:, None, None]
        for _ in range(number):
            members = np.repeat(np.arange(len(self.sizes)), self.sizes)[:, None]
            if self.recordings:
                first, other = random.integers((len(self.sizes), len(self.sizes) - 1), size=(self.recordings, 2)).T
                members = np.sort(np.stack([first, other + (other >= first)], axis=1), axis=1)
            counts, units = self.make(scores, nature.hardness(members, random), nature.deviation, random)
            names = tuple("+".join(map(str, row)) for row in members.tolist())
            ids = tuple(map(str, range(len(names))))
            yield Items(ids, names, counts[0], units), Items(ids, names, counts[1], units)


DESIGNS = {
    "KS 30": Design(0.3, WORDS, accuracy),
    "KS 70": Design(0.7, WORDS, accuracy),
    "IC": Design(0.6, INTENTS, accuracy),
    "PR": Design(0.3, UTTERANCES, edits),
    "ASR": Design(0.99, UTTERANCES, edits),
    "SD": Design(0.3, np.full(14, 1), rates, recordings=MIXTURES),
}
