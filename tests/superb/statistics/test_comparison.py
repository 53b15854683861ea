import numpy as np
import pytest
from scipy import stats

from mmpt.superb.statistics.comparison import compare
from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.items import Items


def make(counts, clusters, ids=None, units=None):
    counts = np.atleast_2d(np.asarray(counts, dtype=float))
    number = counts.shape[1]
    ids = tuple(map(str, range(number))) if ids is None else ids
    return Items(ids, tuple(map(str, clusters)), counts, np.ones(number) if units is None else np.asarray(units))


def rates(shape, seed):
    return np.random.default_rng(seed).uniform(0.2, 0.8, shape)


def test_few_clusters_of_one_size_give_the_paired_t_test():
    first, second = rates((6, 5), 0), rates((6, 5), 1) - 0.05
    found = compare(*(make(counts.ravel(), np.repeat(range(6), 5)) for counts in (first, second)))
    expected = stats.ttest_rel(second.mean(axis=1), first.mean(axis=1))
    assert found.p == pytest.approx(expected.pvalue)
    limits = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))
    assert found.difference == pytest.approx(second.mean() - first.mean())
    assert found.method == "Student's t over 6 clusters, for this head seed"


def test_many_clusters_agree_with_the_paired_t_test():
    first = rates((40, 5), 2)
    second = first + np.random.default_rng(3).normal(0.01, 0.1, first.shape).clip(-0.2)
    found = compare(*(make(counts.ravel(), np.repeat(range(40), 5)) for counts in (first, second)))
    expected = stats.ttest_rel(second.mean(axis=1), first.mean(axis=1))
    assert 0.001 < expected.pvalue < 0.1
    assert found.p == pytest.approx(expected.pvalue, rel=0.25)
    limits = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=0.003)


def test_the_interval_leaves_out_zero_where_p_is_below_five_per_cent():
    for seed in range(12):
        found = compare(
            make(rates(60, seed), np.arange(60) % 12), make(rates(60, seed + 50) + 0.08, np.arange(60) % 12)
        )
        assert (found.low > 0 or found.high < 0) is (found.p < 0.05)


def test_seeds_of_two_encoders_are_independent():
    one, other = np.array([0.3, 0.36, 0.33]), np.array([0.5, 0.41, 0.47])
    pair = [make(np.repeat(scores[:, None], 24, axis=1), np.arange(24) % 6) for scores in (one, other)]
    found, welch = compare(*pair), stats.ttest_ind(other, one, equal_var=False)
    assert found.p == pytest.approx(welch.pvalue)
    assert found.method == "Student's t over 6 clusters and 3 head seeds"


def test_an_encoder_with_one_seed_borrows_the_others_spread():
    scores = np.array([0.3, 0.36, 0.33])
    several, single = (make(np.repeat(s[:, None], 24, axis=1), np.arange(24) % 6) for s in (scores, np.array([0.5])))
    found = compare(several, single)
    error = scores.std(ddof=1) * np.sqrt(1 / 3 + 1)
    assert found.p == pytest.approx(2 * stats.t.sf((0.5 - 0.33) / error, 2))
    assert found.p == pytest.approx(compare(single, several).p)
    assert found.method.endswith("and 3 and 1 head seeds")


def test_the_smallest_difference_is_that_of_the_textbook_for_many_items():
    random = np.random.default_rng(4)
    first, second = random.random(4000) < 0.5, random.random(4000) < 0.5
    found = compare(make(first, range(4000)), make(second, range(4000)), resamples=999)
    error = (second.astype(float) - first).std() / np.sqrt(4000)
    assert found.smallest == pytest.approx((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * error, rel=0.05)


def test_the_smallest_difference_of_few_clusters_has_the_power_of_the_noncentral_t():
    found = compare(*(make(rates(60, seed), np.arange(60) % 6) for seed in (0, 1)))
    critical = stats.t.ppf(0.975, 5)
    error = (found.high - found.low) / 2 / critical
    expected_share = stats.chi(5).mean() / np.sqrt(5)  # of the true error, that the measured one is on average
    assert stats.nct.sf(critical, 5, found.smallest / (error / expected_share)) == pytest.approx(0.8)


def test_mcnemar_counts_the_items_that_one_encoder_alone_has_right():
    first, second = np.array([1] * 12 + [0] * 3 + [1, 0] * 10), np.array([0] * 12 + [1] * 3 + [1, 0] * 10)
    found = compare(make(first, range(35)), make(second, range(35)))
    assert found.mcnemar_p == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert compare(make(first, range(35)), make(first, range(35))).mcnemar_p == 1


def test_mcnemar_is_left_out_where_it_does_not_apply():
    right = np.arange(20) % 2
    assert compare(make([right, right], range(20)), make([right, right], range(20))).mcnemar_p is None
    assert compare(make(right * 2, range(20)), make(right, range(20))).mcnemar_p is None


def test_items_are_paired_by_id():
    clusters, counts = [index % 12 for index in range(48)], rates(48, 5)
    first, second = make(rates(48, 6), clusters), make(counts, clusters)
    order = np.random.default_rng(7).permutation(48)
    mixed = make(counts[order], [clusters[i] for i in order], tuple(str(i) for i in order))
    assert compare(first, mixed) == compare(first, second)


@pytest.mark.parametrize("counts, smallest", [(np.arange(40) % 2, True), (rates(40, 8), False)])
def test_an_encoder_does_not_differ_from_itself(counts, smallest):
    items = make(counts, np.arange(40) % 14)
    found = compare(items, items)
    assert (found.difference, found.p) == (0, 1)
    assert found.low <= 0 <= found.high
    assert (found.smallest is not None) is smallest


def test_swapping_two_encoders_changes_the_sign_alone():
    pair = [make(rates((3, 60), seed), np.arange(60) % 14) for seed in (9, 10)]
    there, back = compare(*pair), compare(*reversed(pair))
    assert back.difference == pytest.approx(-there.difference) and back.p == pytest.approx(there.p, abs=0.01)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=0.005)


def test_test_sets_that_differ_are_an_error():
    first = make([1, 0], "ab", ("x", "y"))
    with pytest.raises(InputError, match="2 test items are in one only .such as y"):
        compare(first, make([1, 0], "ab", ("x", "z")))
    with pytest.raises(InputError, match="reference lengths differ"):
        compare(first, make([1, 0], "ab", ("x", "y"), [1, 2]))
    with pytest.raises(InputError, match="clusters or"):
        compare(first, make([1, 0], "ac", ("x", "y")))
