import numpy as np
import pytest
from scipy import stats

from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.intervals import interval
from mmpt.upstream.statistics.items import Items


def make(counts, clusters, units=None):
    counts = np.atleast_2d(np.asarray(counts, dtype=float))
    number = counts.shape[1]
    return Items(
        tuple(map(str, range(number))), tuple(map(str, clusters)), counts, np.ones(number) if units is None else units
    )


def test_independent_items_give_the_interval_of_a_proportion():
    right = np.arange(2000) % 10 < 3
    found = interval(make(right, range(2000)))
    normal = 1.96 * np.sqrt(0.3 * 0.7 / 2000)
    assert (found.low, found.high) == pytest.approx((0.3 - normal, 0.3 + normal), abs=0.05 * normal)
    wilson = stats.binomtest(600, 2000).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=0.05 * normal)
    assert found.method == "bootstrap over 2000 clusters, for this head seed" and found.clusters == 2000


def test_few_clusters_of_one_size_give_students_t_over_their_means():
    rates = np.random.default_rng(0).uniform(0.2, 0.8, (6, 5))
    found = interval(make(rates.ravel(), np.repeat(range(6), 5)), level=0.9)
    expected = stats.ttest_1samp(rates.mean(axis=1), 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.method == "Student's t over 6 clusters, for this head seed"


@pytest.mark.parametrize("clusters, tolerance", [(6, 1e-6), (12, 0.05)])
def test_seeds_alone_give_students_t_over_seeds(clusters, tolerance):
    scores = np.array([0.3, 0.36, 0.33])
    found = interval(make(np.repeat(scores[:, None], 24, axis=1), np.arange(24) % clusters))
    expected = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=tolerance)
    assert found.method.endswith(f"over {clusters} clusters and 3 head seeds")


def test_noise_of_items_that_differs_between_seeds_counts_once():
    # So many seeds that their variance is well known: it is noise alone, and the clusters' variance holds it already.
    found = interval(make(np.random.default_rng(1).random((300, 400)), range(400)))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.sqrt(1 / 12 / 300 / 400), rel=0.15)


@pytest.mark.parametrize("clusters, name", [(9, "Student's t"), (10, "bootstrap")])
def test_from_ten_clusters_on_they_are_drawn_anew(clusters, name):
    found = interval(make(np.random.default_rng(3).random(90), np.arange(90) % clusters))
    assert found.method == f"{name} over {clusters} clusters, for this head seed"


def test_correlated_items_widen_the_interval():
    right = np.repeat(np.arange(20) % 2, 10)  # all items of a cluster are alike
    alone, together = interval(make(right, range(200))), interval(make(right, np.repeat(range(20), 10)))
    assert together.high - together.low > 2.5 * (alone.high - alone.low)


def test_long_utterances_weigh_more():
    words = np.array([1.0] * 10 + [10.0] * 10)
    items = make([1] * 10 + [0] * 10, range(20), words)
    found = interval(items)
    assert items.score == pytest.approx(10 / 110)
    assert found.low < items.score < found.high < 0.5


def test_clusters_of_very_unequal_size_count_as_few():
    found = interval(make(np.arange(60) % 2, [0] * 49 + list(range(1, 12))))
    assert found.method.startswith("Student's t over 12 clusters")


@pytest.mark.parametrize("names", [["a"] * 30, ["a+b", "a+c"] * 15])
def test_a_single_speaker_gives_an_interval_for_this_speaker(names):
    found = interval(make(np.arange(30) % 2, names))
    assert found.method == "bootstrap over 30 items, for these speakers, for this head seed"
    assert found.clusters == len(set("+".join(names).split("+")))


def test_a_test_set_without_errors_does_not_prove_that_there_are_none():
    perfect = interval(make(np.ones(100), range(100)))
    assert perfect.high == 1 and 0.95 < perfect.low < 0.99
    silent = interval(make(np.zeros(100), range(100), np.full(100, 5.0)))
    assert silent.low == 0 and 0.002 < silent.high < 0.01


def test_error_rates_may_exceed_one_and_accuracy_may_not():
    assert interval(make([3, 1, 2, 1], range(4))).high > 1
    assert interval(make([1, 1, 0, 1], range(4))).high == 1


def test_an_item_alone_has_no_interval():
    with pytest.raises(InputError, match="at least two"):
        interval(make([1], "a"))


def test_the_same_items_give_the_same_interval():
    items = make(np.random.default_rng(2).random((3, 50)), np.arange(50) % 14)
    assert interval(items) == interval(items)
