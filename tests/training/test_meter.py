"""Figures of a log line: means over steps and ranks, rates, and floating-point operations."""

import pytest
import torch
from torch import nn

from mmpt.training import meter as meter_module
from mmpt.training.distributed import World
from mmpt.training.meter import FlopCount, Meter, peak_tflops


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(meter_module, "time", clock)
    return clock


def test_means_and_rates(clock):
    def reads():
        for loss, norm in ((1.0, 2.0), (3.0, 4.0)):
            clock.now += 0.5
            yield loss, norm

    meter = Meter()
    for loss, norm in meter.waiting_for(reads()):
        clock.now += 1.5
        meter.add({"loss": torch.tensor(loss)}, torch.tensor(norm), torch.tensor(float(loss > 2)), 8)
        with meter.paused():
            clock.now += 7.0
    figures = meter.report("clips", World(), FlopCount(False), None)
    assert figures == pytest.approx(
        {
            "loss": 2.0,
            "gradient_norm": 3.0,
            "clips_per_s": 4.0,
            "steps_per_s": 0.5,
            "data_wait_percent": 25.0,
            "skipped_updates": 1,
        }
    )


def test_operations_are_counted_once_forward_and_backward(clock):
    layers = nn.Sequential(nn.Linear(30, 40), nn.Linear(40, 50))
    count = FlopCount(True)
    for rows in (6, 12):  # the second is no longer counted
        with count.counting(units=6):
            layers(torch.randn(rows, 30)).sum().backward()
    forward = 2 * 6 * (30 * 40 + 40 * 50)
    assert count.per_unit == (2 * forward + 2 * 6 * 40 * 50) / 6  # no gradient is wanted of the input
    meter = Meter()
    meter.add({"loss": torch.tensor(1.0)}, torch.tensor(1.0), torch.tensor(0.0), 100)
    clock.now += 2.0
    figures = meter.report("clips", World(), count, peak=1e-6)  # 1 MFLOP/s
    assert figures["mfu_percent"] == pytest.approx(100 * count.per_unit * 50 / 1e6)


@pytest.mark.parametrize(
    "name, peak",
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA RTX A1000", None),
        ("NVIDIA RTX A4000", None),
        ("NVIDIA L40S", 362),
        ("Tesla V100", None),
    ],
)
def test_known_gpus(monkeypatch, name, peak):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_tflops(torch.device("cuda")) == peak and peak_tflops(torch.device("cpu")) is None


def test_operations_are_not_counted_unless_enabled():
    count = FlopCount(False)
    with count.counting(1):
        nn.Linear(3, 3)(torch.randn(1, 3))
    assert count.per_unit is None
