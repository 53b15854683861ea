"""The linear layer for many rows, compared with PyTorch's own."""

import pytest
import torch
from torch.nn import functional as F

from mmpt.upstream.mmpt_av import linear
from mmpt.upstream.mmpt_av.linear import ENOUGH_PRODUCTS, Linear


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def without_onednn(monkeypatch):
    """Return a function that gives the linear layer of PyTorch back."""
    return lambda: monkeypatch.setattr(linear, "has_convolutions_for", lambda x: False)


def trained(layer, x):
    """Return a layer's output for x, and the gradients of x and of all weights."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).cos()).sum().backward()
    return [y.detach(), x.grad, *(weight.grad for weight in layer.parameters())]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (128,), (2345,), (30, 50)])
@pytest.mark.parametrize("sizes", [(96, 384), (384, 96), (96, 96), (5, 3)])
def test_products_and_gradients_are_torchs(sizes, shape, bias):
    layer, x = Linear(*sizes, bias=bias), torch.randn(*shape, sizes[0])
    ours = trained(layer, x)
    for own, expected in zip(ours, trained(layer.double(), x.double()), strict=True):
        assert own.is_contiguous() and own.shape == expected.shape
        assert (own - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_strided_input_is_accepted():
    layer, x = Linear(96, 384), torch.randn(1000, 2, 96)[:, 0]
    assert torch.allclose(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5)


def test_only_what_needs_a_gradient_gets_one():
    layer, x = Linear(96, 384), torch.randn(1000, 96)
    layer(x).sum().backward()
    assert layer.weight.grad is not None and x.grad is None
    layer.requires_grad_(False)
    x.requires_grad_()
    layer(x).sum().backward()
    assert torch.allclose(x.grad, layer.weight.sum(0).expand(1000, -1), atol=1e-4)


@torch.no_grad()
def test_few_products_and_processors_without_onednn_are_left_to_torch(without_onednn):
    layer = Linear(96, 384)
    few = torch.randn(ENOUGH_PRODUCTS // (96 * 384), 96)
    assert torch.equal(layer(few), F.linear(few, layer.weight, layer.bias))
    many = torch.randn(1500, 96)
    ours = layer(many)
    without_onednn()
    assert torch.equal(layer(many), F.linear(many, layer.weight, layer.bias))
    assert torch.allclose(layer(many), ours, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@torch.no_grad()
def test_other_precisions_are_left_to_torch(dtype):
    layer, x = Linear(96, 384).to(dtype), torch.randn(1500, 96, dtype=dtype)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.to(torch.float32)(x.float()).dtype is torch.bfloat16
