"""The next update is prepared, and its first micro-batch copied, while the present one is computed."""

from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from mmpt.training.prefetch import Prefetcher, tensors_in
from mmpt.training.updates import prepared_updates

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@dataclass
class Numbers:
    """A batch."""

    values: torch.Tensor
    nested: list

    def to(self, device: torch.device) -> "Numbers":
        return Numbers(self.values.to(device), self.nested)


class Skipped:
    """The items that a rank has skipped since the last update, and those of all ranks."""

    def __init__(self):
        self.own, self.of_all = ["a"], []

    def drain(self) -> list:
        drained, self.own = self.own, []
        return drained

    def add(self, entries: list) -> None:
        self.of_all += entries


class TwoRanks:
    """A world in which another rank has one item more, has skipped "b", and gets a signal before the second update."""

    def __init__(self):
        self.updates = 0

    def gather(self, value):
        counts, skipped, signal = value
        self.updates += 1
        return [value, ({"items": counts["items"] + 1}, ["b"], 15 if self.updates == 2 else 0)]


@pytest.fixture
def task():
    return SimpleNamespace(counts=lambda batch: {"items": len(batch.values)}, skipped=Skipped())


def test_updates_carry_what_all_ranks_do(task):
    batches = iter([Numbers(torch.zeros(n), []) for n in (1, 2, 3, 4, 5)])
    stop = SimpleNamespace(received=0)
    updates = prepared_updates(task, batches, 2, TwoRanks(), stop, Prefetcher(CPU))
    first = next(updates)
    assert first.part_counts == [{"items": 1}, {"items": 2}] and first.counts.of("items") == [3, 4]
    assert task.skipped.of_all == ["a", "b"] and first.signal == 0
    second = next(updates)
    assert second.counts.of("items") == [7, 8] and second.signal == 15
    assert next(updates, None) is None  # one micro-batch is left


def test_an_update_is_prepared_when_it_is_asked_for(task):
    taken = []

    def batches():
        for number in range(4):
            taken.append(number)
            yield Numbers(torch.zeros(1), [])

    updates = prepared_updates(task, batches(), 2, TwoRanks(), SimpleNamespace(received=0), Prefetcher(CPU))
    next(updates)
    assert taken == [0, 1]
    next(updates)
    assert taken == [0, 1, 2, 3]


def test_all_tensors_of_a_batch_are_found():
    a, b, c, d = (torch.full((), n) for n in range(4))
    batch = Numbers(a, [b, {"c": c, "name": "x"}, (d, 1, None, Numbers(a, []))])
    assert [tensor.item() for tensor in tensors_in(batch)] == [0, 1, 2, 3, 0]


def test_on_a_processor_batches_are_taken_as_they_are():
    batches = [Numbers(torch.zeros(n), []) for n in range(3)]
    assert [batch.values.data_ptr() for batch in Prefetcher(CPU).each(batches)] == [
        batch.values.data_ptr() for batch in batches
    ]


class FakeStream:
    """A stream that records what happens, in place of a GPU's."""

    def __init__(self, name: str, events: list):
        self.name, self.events = name, events

    def wait_stream(self, other: "FakeStream") -> None:
        self.events.append(f"{self.name} waits for {other.name}")

    def record_event(self) -> SimpleNamespace:
        number = sum("marks" in event for event in self.events)
        self.events.append(f"{self.name} marks {number}")
        return SimpleNamespace(synchronize=lambda: self.events.append(f"processor waits for {number}"))


@dataclass
class Traced:
    """A batch that records when it is copied."""

    name: str
    events: list
    device: str = "cpu"

    def to(self, device: torch.device) -> "Traced":
        self.events.append(f"copy {self.name}")
        return Traced(self.name, self.events, device.type)


def test_a_gpu_copies_on_its_own_stream_at_most_one_batch_ahead(monkeypatch):
    events: list[str] = []
    compute, side = FakeStream("compute", events), FakeStream("side", events)

    @contextmanager
    def stream(chosen):
        events.append(f"on {chosen.name}")
        yield
        events.append("off")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: compute)
    monkeypatch.setattr(torch.cuda, "stream", stream)

    def tensors_of(batch):
        record = lambda stream: events.append(f"memory kept for {stream.name}")  # noqa: E731
        return [SimpleNamespace(device=GPU, record_stream=record), torch.zeros(1)]

    monkeypatch.setattr("mmpt.training.prefetch.tensors_in", tensors_of)

    prefetcher = Prefetcher(GPU)
    a, b, c = (Traced(name, events) for name in "abc")
    prefetcher.start(a)
    assert events == ["compute marks 0", "on side", "copy a", "off"]
    events.clear()
    assert prefetcher.take(a).device == "cuda"
    assert events == ["compute waits for side", "memory kept for compute"]
    events.clear()
    prefetcher.start(b)
    assert events == ["processor waits for 0", "compute marks 0", "on side", "copy b", "off"]
    events.clear()
    assert [prefetcher.take(batch).name for batch in (b, c)] == ["b", "c"]
    assert [event for event in events if "copy" in event] == ["copy c"]  # b had been copied already
