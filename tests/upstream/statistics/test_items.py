import numpy as np
import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.items import Items


def test_the_score_is_a_ratio_of_sums_and_a_mean_over_seeds():
    items = Items(("a", "b"), ("x", "x"), np.array([[1, 4], [1, 0]]), np.array([1, 9]))
    assert items.seed_scores.tolist() == [0.5, 0.1]
    assert items.score == pytest.approx(0.3)


@pytest.mark.parametrize(
    "ids, counts, units, message",
    [
        (("a", "b"), [[1, 2, 3]], [1, 1], "sizes do not fit"),
        (("a", "b"), [1, 2], [1, 1], "sizes do not fit"),
        (("a", "b"), np.zeros((0, 2)), [1, 1], "at least one item and one seed"),
        (("a", "a"), [[1, 2]], [1, 1], "a comes twice"),
        (("a", "b"), [[1, np.nan]], [1, 1], "finite"),
        (("a", "b"), [[1, 1]], [1, -1], "not negative"),
        (("a", "b"), [[1, 1]], [0, 0], "all units are 0"),
    ],
)
def test_what_is_not_a_score_is_an_error(ids, counts, units, message):
    with pytest.raises(InputError, match=message):
        Items(ids, ("x", "y"), np.array(counts), np.array(units))


def test_accuracy_is_known_from_error_rates():
    ids, clusters = ("a", "b"), ("x", "y")
    assert Items(ids, clusters, np.array([[0, 1]]), np.ones(2)).right_or_wrong
    assert not Items(ids, clusters, np.array([[0, 2]]), np.ones(2)).right_or_wrong
    assert not Items(ids, clusters, np.array([[0, 1]]), np.array([1, 3])).right_or_wrong
