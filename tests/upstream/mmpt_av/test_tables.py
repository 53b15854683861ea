"""Index tensors travel together, to other devices and to other processes."""

import copy
import pickle

import pytest
import torch

from mmpt.upstream.mmpt_av.layout import Layout
from mmpt.upstream.mmpt_av.tables import Tables

TABLES = {
    "numbers": torch.arange(7),
    "short": torch.arange(5, dtype=torch.int32),
    "mask": torch.tensor([[True, False, True], [False, True, True]]),
    "none": torch.zeros(0, 3, dtype=torch.int64),
    "last": torch.tensor([-1]),
}


def tables() -> Tables:
    made = Tables()
    for name, value in TABLES.items():
        assert made.get(name, lambda value=value: value) is value
    return made


def never() -> torch.Tensor:
    raise AssertionError("it is there already")


@pytest.mark.parametrize(
    "travel", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)), lambda one: one.to("cpu")]
)
def test_values_types_and_shapes_arrive(travel):
    arrived = travel(tables())
    for name, value in TABLES.items():
        found = arrived.get(name, never)
        assert found.dtype == value.dtype and torch.equal(found, value)


def test_one_piece_of_memory_is_copied():
    sent = tables()
    device = sent.to("meta")
    assert device.device.type == "meta" and device.names() == set(TABLES)
    found = [device.get(name, never) for name in TABLES]
    assert len({one.untyped_storage()._cdata for one in found}) == 1
    assert [(one.dtype, one.shape) for one in found] == [(one.dtype, one.shape) for one in TABLES.values()]
    assert all(one.storage_offset() * one.itemsize % 64 == 0 for one in found)


def test_a_table_that_is_made_later_travels_too():
    sent = copy.deepcopy(tables())
    sent.get("late", lambda: torch.tensor([3.0]))
    assert torch.equal(copy.deepcopy(sent).get("late", never), torch.tensor([3.0]))
    assert torch.equal(copy.deepcopy(sent).get("numbers", never), TABLES["numbers"])


@pytest.mark.parametrize("samples", [[], [1], [16000] * 3, [16000, 640, 9001]])
def test_a_layout_that_has_travelled_is_the_same(samples):
    layout = Layout(samples).prepare(gap=3)
    arrived = pickle.loads(pickle.dumps(layout))
    states, others = layout.frames.shrunk(4), arrived.frames.shrunk(4)
    for ours, theirs in zip(states.places(3)[1:], others.places(3)[1:], strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(arrived.frame_places(), Layout(samples).frame_places())
    assert torch.equal(arrived.no_speech(), Layout(samples).no_speech())
    assert arrived.tables.names() == layout.tables.names()
