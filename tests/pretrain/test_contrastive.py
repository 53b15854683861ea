"""The contrastive objective, against a slow, obvious reference."""

import math

import pytest
import torch
from torch.nn import functional as F

from mmpt.pretrain.contrastive import InfoNCE
from mmpt.training.distributed import Counts


def alone(clips):
    """Counts of an update in one process."""
    return Counts([{"clips": clips}])


def slow_loss(audio, video, log_scale):
    """Symmetric InfoNCE written out pair by pair."""
    scale, n = log_scale.exp(), len(audio)
    scores = [[(audio[i] * video[j]).sum() * scale for j in range(n)] for i in range(n)]
    total = 0.0
    for i in range(n):
        total = total - (scores[i][i] - torch.log(sum(torch.exp(scores[i][j]) for j in range(n))))
        total = total - (scores[i][i] - torch.log(sum(torch.exp(scores[j][i]) for j in range(n))))
    return total / (2 * n)


def test_loss_and_gradients_match_the_slow_reference():
    torch.manual_seed(0)
    raw = [torch.randn(7, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    contrast = InfoNCE(0.2).double()
    fast = contrast(*(F.normalize(x, dim=-1) for x in raw), alone(7))
    fast_gradients = torch.autograd.grad(fast, [*raw, contrast.log_scale])
    slow = slow_loss(*(x / x.square().sum(-1, keepdim=True).sqrt() for x in raw), contrast.log_scale)
    slow_gradients = torch.autograd.grad(slow, [*raw, contrast.log_scale])
    assert fast.item() == pytest.approx(slow.item(), rel=1e-12)
    for ours, reference in zip(fast_gradients, slow_gradients):
        assert reference.abs().max() > 1e-3
        torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-12)


def test_loss_of_unrelated_halves_is_the_logarithm_of_the_batch():
    assert InfoNCE()(torch.ones(8, 1), torch.ones(8, 1), alone(8)).item() == pytest.approx(math.log(8), rel=1e-6)


def test_temperature_is_bounded():
    contrast = InfoNCE()
    torch.nn.init.constant_(contrast.log_scale, 20.0)
    own = F.normalize(torch.randn(4, 3), dim=-1)
    assert contrast(own, own, alone(4)).isfinite()
    assert contrast(own, -own, alone(4)).item() <= 2 * 100 + math.log(4)
