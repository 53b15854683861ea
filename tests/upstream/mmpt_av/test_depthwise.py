"""Depthwise convolution on a processor, compared with PyTorch's own."""

import pytest
import torch
from torch.nn import functional as F

from mmpt.upstream.mmpt_av import depthwise as module
from mmpt.upstream.mmpt_av.depthwise import BLOCK, depthwise


def both(shape: tuple[int, int, int], taps: int, dtype: torch.dtype) -> list[list[torch.Tensor]]:
    """Return result, gradient of the input and of the weight: ours, then PyTorch's in double precision."""
    torch.manual_seed(sum(shape) + taps)
    x, weight, seed = torch.randn(shape), torch.randn(shape[-1], 1, taps), torch.randn(shape)
    found = []
    for kind in (dtype, torch.float64):
        x, weight = x.to(dtype).to(kind).detach().requires_grad_(), weight.to(dtype).to(kind).detach().requires_grad_()
        y = depthwise(x, weight) if kind is dtype else F.conv1d(x.mT, weight, padding=taps // 2, groups=shape[-1]).mT
        y.backward(seed.to(dtype).to(kind))
        found.append([y, x.grad, weight.grad])
    return found


@pytest.mark.parametrize("taps", [1, 5, 31])
@pytest.mark.parametrize("length", [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("batch, channels", [(1, 96), (3, 20)])
def test_result_and_gradients_are_torchs(batch, channels, length, taps):
    for ours, theirs in zip(*both((batch, length, channels), taps, torch.float32)):
        assert ours.shape == theirs.shape and ours.dtype is torch.float32
        assert (ours - theirs).abs().max() <= 1e-6 * max(1, theirs.abs().max()) * max(1, length) ** 0.5


def test_half_precision_stays_near_torchs():
    for ours, theirs in zip(*both((2, 200, 32), 31, torch.bfloat16)):
        assert ours.dtype is torch.bfloat16
        assert (ours - theirs).norm() <= 1e-2 * theirs.norm()


def test_without_onednn_torch_computes_it(monkeypatch):
    x, weight = torch.randn(2, 99, 12), torch.randn(12, 1, 5)
    ours = depthwise(x, weight)
    monkeypatch.setattr(module, "has_convolutions_for", lambda x: False)
    assert torch.allclose(depthwise(x, weight), ours, atol=1e-5)
    assert depthwise(x.double(), weight.double()).dtype is torch.float64


def test_a_frozen_weight_or_input_gets_no_gradient():
    x, weight = torch.randn(1, 70, 4, requires_grad=True), torch.randn(4, 1, 5)
    depthwise(x, weight).sum().backward()
    assert x.grad is not None and weight.grad is None
    weight.requires_grad_()
    depthwise(x.detach(), weight).sum().backward()
    assert weight.grad is not None


def test_double_backward_is_refused():
    x = torch.randn(1, 9, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        depthwise(x, torch.randn(4, 1, 5, requires_grad=True)).square().sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
