"""What the log line says: means over steps and ranks, rates, and floating-point operations."""

import pytest
import torch
from torch import nn

from mmpt.pretrain.distributed import World
from mmpt.pretrain.meter import FlopCount, Meter


def test_means_and_rates():
    meter = Meter()
    for loss, norm in ((1.0, 2.0), (3.0, 4.0)):
        meter.add({"loss": torch.tensor(loss)}, torch.tensor(norm), 8, 0.5, 2.0, finite=loss < 2)
    figures = meter.report("clips", World(), FlopCount(False), None)
    assert figures == pytest.approx({"loss": 2.0, "gradient_norm": 3.0, "clips_per_s": 4.0, "steps_per_s": 0.5, "data_wait_percent": 25.0, "skipped_updates": 1})


def test_operations_are_counted_once_forward_and_backward():
    layers = nn.Sequential(nn.Linear(30, 40), nn.Linear(40, 50))
    count = FlopCount(True)
    for rows in (6, 12):  # the second is no longer counted
        with count.counting(units=6):
            layers(torch.randn(rows, 30)).sum().backward()
    forward = 2 * 6 * (30 * 40 + 40 * 50)
    assert count.per_unit == (2 * forward + 2 * 6 * 40 * 50) / 6  # no gradient is wanted of the input
    meter = Meter()
    meter.add({"loss": torch.tensor(1.0)}, torch.tensor(1.0), 100, 0.0, 2.0, True)
    figures = meter.report("clips", World(), count, peak=1e-6)  # 1 MFLOP/s
    assert figures["mfu_percent"] == pytest.approx(100 * count.per_unit * 50 / 1e6)


def test_operations_are_not_counted_unless_wanted():
    count = FlopCount(False)
    with count.counting(1):
        nn.Linear(3, 3)(torch.randn(1, 3))
    assert count.per_unit is None
