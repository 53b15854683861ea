"""Dropout with cheap random numbers on a processor.

PyTorch's own takes as long there as the matrix products around it.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 1 << 16  # values of a 16-bit random number


class Dropout(nn.Module):
    """Dropout like `nn.Dropout`'s.

    On the CPU `p` is rounded to 1/65536, a draw of 64 bits decides for four values, and the mask takes one byte a value
    until the backward pass.

    Args:
        p: share of values that become 0; the others are scaled by 1 / (1 - p).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of `x` in training; return the same shape."""
        return dropout(x, self.p if self.training else 0.0)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def dropout(x: Tensor, p: float) -> Tensor:
    """Set values of `x` to 0 with probability `p`, and scale the others by 1 / (1 - p)."""
    if p == 0.0:
        return x
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return F.dropout(x, p, training=True)
    out: Tensor = _Dropped.apply(x, min(round(p * LEVELS), LEVELS - 1))  # type: ignore[no-untyped-call]
    return out


class _Dropped(torch.autograd.Function):
    """Dropout that keeps its mask in bytes, where PyTorch's has the dtype of `x`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int) -> Tensor:
        ctx.scale = LEVELS / (LEVELS - dropped)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
        keep = (draws.view(torch.int16)[: x.numel()] >= dropped - LEVELS // 2).view(x.shape)
        keep = keep.view(torch.int8)  # turns into floats four times as fast as bool
        ctx.save_for_backward(keep)
        return keep.to(x.dtype).mul_(ctx.scale).mul_(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return keep.to(gradient.dtype).mul_(ctx.scale).mul_(gradient), None
