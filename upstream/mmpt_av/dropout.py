"""Dropout with cheap random numbers on a processor, where PyTorch's own takes as long as the matrix products beside it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 1 << 16  # of a 16-bit random number


class Dropout(nn.Module):
    """As `nn.Dropout`. On the CPU `p` is rounded to 1/65536, a draw of 64 bits decides for four values, and a mask takes one byte a value
    until the backward pass.

    Args:
        p: share of values that are set to 0; the others are scaled by 1 / (1 - p).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x: of any shape. Returns the same shape."""
        return dropout(x, self.p if self.training else 0.0)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def dropout(x: Tensor, p: float) -> Tensor:
    """Values dropped with probability `p`; as they are for 0."""
    if p == 0.0 or x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, p, training=p > 0.0)
    return _Dropped.apply(x, min(round(p * LEVELS), LEVELS - 1))


class _Dropped(torch.autograd.Function):
    """Keeps its mask in bytes, not in the numbers of `x` as PyTorch's does."""

    @staticmethod
    def forward(ctx, x: Tensor, dropped: int) -> Tensor:
        ctx.scale = LEVELS / (LEVELS - dropped)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
        keep = (draws.view(torch.int16)[: x.numel()] >= dropped - LEVELS // 2).view(x.shape)
        keep = keep.view(torch.int8)  # which turns into floats four times as fast as what is true or false
        ctx.save_for_backward(keep)
        return keep.to(x.dtype).mul_(ctx.scale).mul_(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return keep.to(gradient.dtype).mul_(ctx.scale).mul_(gradient), None
