"""A linear layer for many rows on a processor, computed by oneDNN instead of PyTorch's matrix products.

PyTorch leaves them to MKL. With one thread of an AMD EPYC that reaches 105 GFLOP/s in float32, and oneDNN, which uses
AVX-512 there, 200 to 240.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .onednn import has_convolutions_for

ENOUGH_PRODUCTS = 4_000_000  # multiply-adds; fewer do not pay for the longer way through oneDNN


class Linear(nn.Linear):
    """A linear layer like `nn.Linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Transform (..., in_features) into (..., out_features)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return what `F.linear` does; on an x86 processor, for many rows in float32, oneDNN computes it.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,).
    """
    # Sizes are looked at last: compiled code must not depend on them.
    exact = x.dtype is weight.dtype is torch.float32 and not torch.is_autocast_enabled(x.device.type)
    if not has_convolutions_for(x) or not exact or x.numel() * len(weight) < ENOUGH_PRODUCTS:
        return F.linear(x, weight, bias)
    rows: Tensor = _Linear.apply(x.reshape(-1, x.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return rows.view(*x.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        for_x = product(gradient, weight.T) if wants_x else None
        for_weight = weight_gradient(x, gradient) if wants_weight else None
        return for_x, for_weight, gradient.sum(0) if wants_bias else None


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias of matrices, by oneDNN."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return gradient.T @ x: (out_features, in_features)."""
    if gradient.shape[1] > x.shape[1]:  # oneDNN is faster at a wide result than at a tall one
        return product(x.T, gradient.T).T
    return product(gradient.T, x.T)
