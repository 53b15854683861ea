"""The contrastive objective and its retrieval figures, against slow, obvious references."""

import math

import pytest
import torch
from torch.nn import functional as F

from mmpt.pretrain.contrastive import InfoNCE, rank_of_own, retrieval
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


def test_retrieval_counts_what_a_person_would_count():
    torch.manual_seed(1)
    groups = ["a"] * 30 + ["b"] * 25 + ["c"] * 3
    similarity = torch.randn(58, 58) + 1.5 * torch.eye(58)
    figures = retrieval(similarity, groups)
    for k in (1, 5, 10):
        hits = sum(i in similarity[i].argsort(descending=True)[:k].tolist() for i in range(58)) / 58
        assert figures[f"audio_to_video_r{k}"] == pytest.approx(hits)
        hits = sum(i in similarity[:, i].argsort(descending=True)[:k].tolist() for i in range(58)) / 58
        assert figures[f"video_to_audio_r{k}"] == pytest.approx(hits)
    inside = sum(similarity[i, :30].argmax().item() == i for i in range(30)) + sum(
        similarity[i, 30:55].argmax().item() + 30 == i for i in range(30, 55)
    )
    assert figures["within_audio_to_video_r1"] == pytest.approx(inside / 55)
    assert figures["chance_r1"] == pytest.approx(1 / 58) and figures["within_chance_r1"] == pytest.approx(2 / 55)


def test_ties_are_no_success():
    assert rank_of_own(torch.ones(3, 3)).tolist() == [2, 2, 2]


def test_what_is_not_a_number_is_not_found():
    similarity = torch.eye(3)
    similarity[0, 0] = similarity[1, 2] = torch.nan
    assert rank_of_own(similarity).tolist() == [2, 1, 0]
    assert retrieval(torch.full((3, 3), torch.nan), ["a"] * 3)["audio_to_video_r1"] == 0
