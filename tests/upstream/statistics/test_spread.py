import numpy as np
import pytest

from mmpt.upstream.statistics.clusters import Clusters
from mmpt.upstream.statistics.spread import seed_parts

CLUSTERS = Clusters([str(index % 20) for index in range(200)], np.ones(200))


def test_the_noise_is_what_items_and_clusters_give_to_the_variance_between_seeds():
    random = np.random.default_rng(0)
    found = [seed_parts([CLUSTERS.sums(random.random((3, 200)))], CLUSTERS)[0] for _ in range(400)]
    expected = 1 / 12 / 200 / 3  # of the mean of three seeds
    assert np.mean([part.variance for part in found]) == pytest.approx(expected, rel=0.15)
    assert np.mean([part.noise for part in found]) == pytest.approx(expected, rel=0.05)


def test_seeds_that_differ_by_the_same_in_all_items_have_no_noise():
    run = np.random.default_rng(1).random(200) + np.array([[0.1], [0.2], [0.6]])
    [part] = seed_parts([CLUSTERS.sums(run)], CLUSTERS)
    assert part.variance == pytest.approx(np.var([0.1, 0.2, 0.6], ddof=1) / 3)
    assert part.noise == pytest.approx(0, abs=1e-12) and part.freedom == 2


def test_one_seed_tells_nothing_about_seeds():
    assert seed_parts([CLUSTERS.sums(np.ones((1, 200)))] * 2, CLUSTERS) == []
