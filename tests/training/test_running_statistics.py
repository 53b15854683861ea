"""Running batch statistics move once an update, however many passes it takes."""

import pytest
import torch

from mmpt.training.running_statistics import RunningStatistics
from mmpt.upstream.mmpt_av.conformer import FrameBatchNorm
from mmpt.upstream.mmpt_av.recompute import run_block


def buffers(norm: FrameBatchNorm) -> list[torch.Tensor]:
    return [buffer.clone() for buffer in norm.buffers()]


def moved_by(frames: torch.Tensor) -> list[torch.Tensor]:
    norm = FrameBatchNorm(4)
    norm(frames)
    return buffers(norm)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_statistics_are_the_mean_over_the_parts(checkpointing):
    torch.manual_seed(0)
    parts = [torch.randn(frames, 4) * frames + frames for frames in (3, 8, 5)]
    norm = FrameBatchNorm(4)
    statistics = RunningStatistics(norm, enabled=True)
    statistics.begin()
    norm(torch.randn(9, 4))  # a pass that does not count
    for part in parts:
        statistics.put_back()
        out = run_block(norm, part.requires_grad_(), checkpointing=checkpointing)
        statistics.collect()
        out.square().sum().backward()
    statistics.end()
    expected = [torch.stack(each).double().mean(0) for each in zip(*map(moved_by, parts))]
    for ours, theirs in zip(norm.buffers(), expected):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-7)
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("enabled", [False, True])
def test_a_single_part_leaves_the_bits_of_a_plain_pass(enabled):
    frames = torch.randn(7, 4)
    norm = FrameBatchNorm(4)
    statistics = RunningStatistics(norm, enabled)
    for _ in range(2):
        statistics.begin()
        statistics.put_back()
        norm(frames)
        statistics.collect()
        statistics.end()
    plain = FrameBatchNorm(4)
    for _ in range(2):
        plain(frames)
    assert all(torch.equal(one, other) for one, other in zip(norm.buffers(), plain.buffers()))


def test_statistics_of_a_frozen_model_stay():
    torch.manual_seed(0)
    norm = FrameBatchNorm(64)
    norm(torch.randn(7, 64))
    before = buffers(norm.eval())
    statistics = RunningStatistics(norm, enabled=True)
    for _ in range(5):
        statistics.begin()
        for _ in range(7):  # the mean of seven equal numbers can differ from them in the last bit
            statistics.put_back()
            norm(torch.randn(7, 64))
            statistics.collect()
        statistics.end()
    assert all(torch.equal(one, other) for one, other in zip(norm.buffers(), before))
