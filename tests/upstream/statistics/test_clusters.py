import numpy as np
import pytest

from mmpt.upstream.statistics.clusters import Clusters

PAIRS = ["a+b", "b+c", "c+a", "a+b", "c+d", "d+a"]
COUNTS = np.array([1.0, 2, 0, 3, 1, 4])
UNITS = np.array([2.0, 2, 3, 4, 1, 5])


def by_hand(names, counts, units):
    """Leave out every item of each speaker in turn."""
    score = counts.sum() / units.sum()
    speakers = sorted(set("+".join(names).split("+")))
    without = [np.array([speaker not in name.split("+") for name in names]) for speaker in speakers]
    moves = [(counts[rest].sum() / units[rest].sum() - score) ** 2 for rest in without]
    return (len(speakers) - 1) / len(speakers) * sum(moves)


@pytest.mark.parametrize("names", [PAIRS, list("xyzxyy"), ["a+b", "b", "c", "c+a", "d", "d"]])
def test_the_variance_is_that_of_leaving_out_one_speaker_at_a_time(names):
    clusters = Clusters(names, UNITS)
    assert clusters.variance(clusters.sums(COUNTS)) == pytest.approx(by_hand(names, COUNTS, UNITS))


def test_a_cluster_drawn_twice_counts_like_two_clusters():
    once = Clusters(["a", "b", "c", "c2"], np.array([1.0, 2, 3, 3]))
    score, variance = once.jackknife(once.sums(np.array([1.0, 1, 2, 2])), np.ones((1, 4)))
    drawn = Clusters(["a", "b", "c", "left out"], np.array([1.0, 2, 3, 9]))
    times = np.array([[1.0, 1, 2, 0]])
    again, again_variance = drawn.jackknife(drawn.sums(np.array([1.0, 1, 2, 9])), times)
    assert again == pytest.approx(score) and again_variance == pytest.approx(variance)


def test_a_recording_of_two_speakers_comes_as_often_as_both_together():
    clusters = Clusters(["a+b", "a+c", "b"], np.ones(3))  # cells are in this order
    assert clusters.weights(np.array([[2.0, 3, 0]])).tolist() == [[6, 0, 3]]


def test_clusters_of_one_size_are_as_effective_as_many():
    assert Clusters(list("aabbcc"), np.ones(6)).effective == pytest.approx(3)
    assert Clusters(list("aaaabc"), np.ones(6)).effective == pytest.approx(36 / 18)


@pytest.mark.parametrize("names, possible", [("aab", True), ("aaa", False), (["a+b", "a+c", "a+b"], False)])
def test_a_cluster_that_is_in_all_items_cannot_be_left_out(names, possible):
    assert Clusters(list(names), np.ones(3)).can_be_left_out is possible


def test_draws_hold_as_many_clusters_as_there_are_also_in_batches(monkeypatch):
    monkeypatch.setattr("mmpt.upstream.statistics.clusters.BATCH", 12)
    batches = list(Clusters(list("abcd"), np.ones(4)).draws(8, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [3, 3, 2]
    assert (np.concatenate(batches).sum(axis=1) == 4).all()
