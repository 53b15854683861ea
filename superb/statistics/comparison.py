"""Compare two encoders on the same test items."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats

from mmpt.superb.statistics.items import Items
from mmpt.superb.statistics.spread import Spread, spread
from mmpt.upstream.errors import InputError


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
        smallest: the difference that this test shows at 5 % in four cases of five (80 % power).
        mcnemar_p: of McNemar's exact test, which takes items as independent; None unless each has one seed and its
            items are right or wrong.
    """

    difference: float
    low: float
    high: float
    p: float
    method: str
    clusters: int
    smallest: float
    mcnemar_p: float | None


def compare(first: Items, second: Items) -> Difference:
    """Return the difference between two encoders on one task, with its interval and test.

    Args:
        first: the items of one encoder.
        second: of the other: the same ids with the same units, in any order. The number of seeds may differ.

    Raises:
        InputError: ids, clusters or units differ.
    """
    second = _in_the_order_of(first, second)
    found = spread([first.counts, second.counts], first.units, first.clusters)
    difference = second.score - first.score
    low, high = found.interval(difference, 0.95)
    p = _p_value(difference, found)
    mcnemar = _mcnemar(first, second)
    return Difference(difference, low, high, p, found.method, found.clusters, _smallest(found), mcnemar)


def _in_the_order_of(first: Items, second: Items) -> Items:
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


def _p_value(difference: float, found: Spread) -> float:
    if not found.error:
        return 1.0 if not difference else 0.0
    return float(2 * stats.t.sf(abs(difference) / found.error, found.freedom))


def _smallest(found: Spread) -> float:
    limit = stats.t.ppf(0.975, found.freedom)
    shift = optimize.brentq(lambda shift: stats.nct.sf(limit, found.freedom, shift) - 0.8, 0, 4 * limit)
    return float(shift) * found.error


def _mcnemar(first: Items, second: Items) -> float | None:
    both = np.concatenate([first.counts, second.counts])
    if len(both) > 2 or not (np.isin(both, (0, 1)).all() and (first.units == 1).all()):
        return None
    lost, won = int((both[0] > both[1]).sum()), int((both[0] < both[1]).sum())
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0
