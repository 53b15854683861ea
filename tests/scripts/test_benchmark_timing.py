"""What the benchmarks share: times wait for the device, and known devices have their data sheets' limits."""

import pytest
import torch

from mmpt.pretrain.clip_batch import SkippedClip
from mmpt.scripts.benchmark import reading_sides, timing
from mmpt.upstream.errors import InputError

CPU = torch.device("cpu")


def test_a_gpu_has_finished_before_and_after(monkeypatch):
    order = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: order.append(str(device)))
    assert timing.seconds(lambda: order.append("work"), torch.device("cuda:1")) >= 0
    assert order == ["cuda:1", "work", "cuda:1"]
    timing.seconds(lambda: order.append("work"), CPU)
    assert order[3:] == ["work"]


def test_a_known_gpu_has_the_limit_of_its_data_sheet(monkeypatch):
    monkeypatch.setattr(timing, "peak_tflops", lambda device: 312.0)
    assert timing.product_rate(torch.device("cuda"), half=True) == 312e12


def test_calls_take_turns_after_one_that_does_not_count():
    order = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    times = timing.in_turn(calls, 2, CPU, "turns")
    assert order == ["a", "b"] * 3 and [len(found) for found in times.values()] == [2, 2]


def test_a_clip_that_is_not_read_has_no_time():
    with pytest.raises(InputError, match="mp4: cut off"):
        reading_sides.compare({"mp4": lambda item: SkippedClip("a", "cut off")}, range(1), 1)


def test_sides_with_other_pictures_are_not_compared():
    class Unreadable(list):
        clips = [SkippedClip("film at 3", "")]

        def __getitem__(self, item):
            return SkippedClip("film at 3", "cut off")

    with pytest.raises(InputError, match="clip film at 3: seeking gives other pictures"):
        reading_sides.check_same_pictures(Unreadable([0]))
