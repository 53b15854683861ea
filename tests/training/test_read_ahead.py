"""Batches that a thread makes ahead."""

import threading

import pytest

from mmpt.training.read_ahead import read_ahead


def test_batches_and_their_order_stay():
    assert list(read_ahead(range(5))) == [0, 1, 2, 3, 4] and list(read_ahead([])) == []


def test_the_next_batch_is_made_while_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def batches():
        for number in range(3):
            made[number].set()
            yield number

    for batch in read_ahead(batches()):
        assert batch == 2 or made[batch + 1].wait(timeout=60)


def test_an_error_is_raised_in_place_of_its_batch():
    def batches():
        yield 1
        raise OSError("disk gone")

    ahead = read_ahead(batches())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="disk gone"):
        next(ahead)
