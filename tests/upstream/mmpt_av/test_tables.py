"""Index tensors travel together, to other devices and to other processes."""

import copy
import io
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


class CountTensors(pickle.Pickler):
    """Count the tensors that are pickled."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.found: list[torch.Tensor] = []

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor):
            self.found.append(value)
        return NotImplemented


@pytest.mark.parametrize("value", [tables(), Layout([700, 900]).prepare(), copy.deepcopy(Layout([700, 900]).prepare())])
def test_another_process_is_sent_one_piece_of_memory(value):
    pickler = CountTensors()
    pickler.dump(value)
    assert [one.dtype for one in pickler.found] == [torch.uint8]


def test_on_a_device_each_table_has_memory_of_its_own():
    """What compiled code takes for aligned: a tensor that begins where its memory does."""
    arrived = copy.deepcopy(tables()).to("meta")
    assert arrived.device.type == "meta" and [*arrived._tables] == [*TABLES]
    found = [arrived.get(name, never) for name in TABLES]
    assert [(one.dtype, one.shape) for one in found] == [(one.dtype, one.shape) for one in TABLES.values()]
    assert len({one.untyped_storage()._cdata for one in found}) == len(TABLES)
    assert all(one.storage_offset() == 0 and one._base is None for one in found)


def test_a_table_that_is_made_later_travels_too():
    sent = copy.deepcopy(tables())
    sent.get("late", lambda: torch.tensor([3.0]))
    assert torch.equal(copy.deepcopy(sent).get("late", never), torch.tensor([3.0]))
    assert torch.equal(copy.deepcopy(sent).get("numbers", never), TABLES["numbers"])


@pytest.mark.parametrize("samples", [[], [1], [16000] * 3, [16000, 640, 9001]])
def test_a_layout_that_has_travelled_is_the_same(samples):
    layout = Layout(samples).prepare()
    arrived = pickle.loads(pickle.dumps(layout))
    states, others = layout.frames.shrunk(4), arrived.frames.shrunk(4)
    for ours, theirs in zip(states.places()[1:], others.places()[1:], strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(arrived.frame_places(), Layout(samples).frame_places())
    assert torch.equal(arrived.no_speech(), Layout(samples).no_speech())
    assert [*arrived.tables._tables] == [*layout.tables._tables]
