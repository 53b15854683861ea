"""The linear layer for many rows, compared with PyTorch's own."""

import pytest
import torch
from torch.nn import functional as F

from mmpt.upstream.mmpt_av import linear
from mmpt.upstream.mmpt_av.linear import ENOUGH_ROWS, Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, ENOUGH_ROWS - 1, ENOUGH_ROWS, 2345])
@pytest.mark.parametrize("sizes", [(96, 384), (384, 96), (5, 3)])
def test_the_product_is_torchs(sizes, rows, bias):
    torch.manual_seed(0)
    layer, x = Linear(*sizes, bias=bias), torch.randn(rows, sizes[0])
    expected = F.linear(x.double(), layer.weight.double(), layer.bias.double() if bias else None)
    with torch.no_grad():
        assert (layer(x) - expected).abs().max() <= 1e-5
        assert (layer(x[:, :]) - expected).abs().max() <= 1e-5 and layer(x).is_contiguous()
    layer(x).sum().backward()  # with gradients it is nn.Linear
    assert torch.allclose(layer.weight.grad, x.sum(0).expand(sizes[1], -1), atol=1e-2)


@torch.no_grad()
def test_without_onednn_torch_computes_it(monkeypatch):
    layer, x = Linear(96, 384), torch.randn(1500, 96)
    ours = layer(x)
    monkeypatch.setattr(linear, "has_convolutions_for", lambda x: False)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias)) and torch.allclose(layer(x), ours, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@torch.no_grad()
def test_other_precisions_are_left_to_torch(dtype):
    layer, x = Linear(96, 384).to(dtype), torch.randn(1500, 96, dtype=dtype)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.to(torch.float32)(x.float()).dtype is torch.bfloat16
