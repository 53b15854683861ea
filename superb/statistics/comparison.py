"""Compare two encoders on the same test items."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import bdtr

from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.items import Items
from mmpt.upstream.statistics.spread import RESAMPLES, spread


@dataclass(frozen=True)
class Difference:
    """How far the second encoder's score is from the first one's. All but p are shares, like the score.

    Args:
        difference: second minus first.
        low: of the 95 % interval.
        high: likewise.
        p: of the test that there is no difference; two-sided, not yet corrected for other comparisons.
        method: how it was found, in plain words.
        clusters: roles, voices or recordings in the test set.
        smallest: the difference that this test shows at 5 % in four cases of five (80 % power); None if the encoders
            do not differ in any item.
        mcnemar_p: of McNemar's exact test, which takes items as independent; None unless each has one seed and its
            items are right or wrong.
    """

    difference: float
    low: float
    high: float
    p: float
    method: str
    clusters: int
    smallest: float | None
    mcnemar_p: float | None


def compare(first: Items, second: Items, resamples: int = RESAMPLES) -> Difference:
    """Return the difference between two encoders on one task, with its interval and test.

    Args:
        first: the items of one encoder.
        second: of the other: the same ids with the same units, in any order. The number of seeds may differ.
        resamples: of the bootstrap; p cannot be below 1 / (resamples + 1).

    Raises:
        InputError: ids, clusters or units differ, or there is a single item.
    """
    second = in_the_order_of(first, second)
    found = spread([first.counts, second.counts], first.units, first.clusters, resamples)
    difference = second.score - first.score
    half = found.half_width(0.95)
    return Difference(
        difference=difference,
        low=difference - half,
        high=difference + half,
        p=found.p_value(difference),
        method=found.method,
        clusters=found.clusters,
        smallest=found.smallest(level=0.05, power=0.8) or None,
        mcnemar_p=_mcnemar(first, second),
    )


def in_the_order_of(first: Items, second: Items) -> Items:
    """Return the second encoder's items in the order of the first one's. Raises InputError: they are not the same."""
    if first.ids != second.ids:
        place = {name: index for index, name in enumerate(second.ids)}
        odd = sorted(set(first.ids) ^ set(second.ids))
        if odd:
            raise InputError(
                f"two encoders: {len(odd)} test items are in one only (such as {odd[0]}): score both again"
            )
        order = [place[name] for name in first.ids]
        clusters = tuple(second.clusters[index] for index in order)
        second = replace(
            second, ids=first.ids, clusters=clusters, counts=second.counts[:, order], units=second.units[order]
        )
    if first.clusters != second.clusters or not np.allclose(first.units, second.units):
        raise InputError("two encoders: clusters or reference lengths differ for the same ids: score both again")
    return second


def _mcnemar(first: Items, second: Items) -> float | None:
    if len(first.counts) > 1 or len(second.counts) > 1 or not (first.right_or_wrong and second.right_or_wrong):
        return None
    lost, won = int((first.counts > second.counts).sum()), int((first.counts < second.counts).sum())
    return min(1.0, 2 * float(bdtr(min(lost, won), lost + won, 0.5)))
