"""Dropout on a processor: share, scale, gradient, and the cases in which nothing is dropped."""

import pytest
import torch

from mmpt.upstream.mmpt_av.attention import within
from mmpt.upstream.mmpt_av.dropout import Dropout, dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_p_is_dropped_and_the_mean_stays(p, dtype):
    torch.manual_seed(0)
    x = torch.full((401, 499), 2.0, dtype=dtype)
    y = dropout(x, p)
    assert y.dtype is dtype and y.shape == x.shape
    kept = y[y != 0]
    assert 1 - len(kept) / x.numel() == pytest.approx(p, abs=5 * (p * (1 - p) / x.numel()) ** 0.5)
    assert torch.allclose(
        kept.float(), torch.full_like(kept, 2 / (1 - p)).float(), rtol=1e-2 if dtype is torch.bfloat16 else 1e-4
    )


def test_each_of_the_four_values_of_a_draw_is_as_likely():
    torch.manual_seed(0)
    shares = (dropout(torch.ones(40_000, 4), 0.25) == 0).float().mean(0)
    assert torch.allclose(shares, torch.full((4,), 0.25), atol=0.01)


def test_values_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(100_000, 4), 0.5) == 0).float()
    assert (torch.corrcoef(dropped.T) - torch.eye(4)).abs().max() < 0.02
    assert (torch.corrcoef(torch.stack([dropped[1:, 0], dropped[:-1, 0]]))[0, 1]).abs() < 0.02


def test_the_gradient_passes_exactly_where_the_value_did():
    torch.manual_seed(0)
    x = torch.randn(7, 33, requires_grad=True)
    y = dropout(x, 0.3)
    y.backward(torch.ones_like(y))
    assert torch.allclose(x.grad, torch.where(y == 0, 0.0, 1 / 0.7), atol=1e-4)


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 1), (0, 4)])
def test_any_shape_is_accepted(shape):
    assert dropout(torch.ones(shape), 0.5).shape == shape


def test_the_seed_determines_the_mask():
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(torch.ones(64, 64), 0.5))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_nothing_is_dropped_in_evaluation_or_at_probability_zero():
    x = torch.randn(10, 10)
    assert torch.equal(Dropout(0.5).eval()(x), x) and torch.equal(Dropout(0.0).train()(x), x)
    assert not torch.equal(Dropout(0.5).train()(x), x)


def test_attention_without_dropout_and_with_next_to_none_agree():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 30, 16)
    assert torch.allclose(within(q, k, v, 0.0), within(q, k, v, 1e-9), atol=1e-5)


def test_attention_drops_weights_and_keeps_their_mean():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 6, 8)
    v = torch.eye(6)[None, None]  # the output is the weights
    weights, seen = within(q, k, v, 0.0), torch.stack([within(q, k, v, 0.4) for _ in range(4000)])
    assert ((seen == 0).float().mean() - 0.4).abs() < 0.01
    assert torch.allclose(seen.mean(0), weights, atol=0.03)
