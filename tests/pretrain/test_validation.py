"""Figures of held-out clips."""

import pytest
import torch

from mmpt.pretrain import validation
from mmpt.pretrain.validation import Errors


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_errors_are_summed_some_rows_at_a_time(monkeypatch, rows):
    monkeypatch.setattr(validation, "ROWS_AT_ONCE", rows)
    made, target = torch.randn(2, 3, 5, 8), 2 + torch.randn(2, 3, 5, 8)
    parts = []
    for clip in range(2):
        parts.append(Errors())
        parts[-1].add(made[clip], target[clip])
    error = (made - target).double().square().mean().item()
    of_mean = target.double().flatten(0, 2).var(0, correction=0).mean().item()
    figures = sum(parts, Errors()).figures("video")
    assert figures == pytest.approx({"video_error": error, "video_error_over_mean": error / of_mean})
