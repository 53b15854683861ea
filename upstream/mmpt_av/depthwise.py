"""Depthwise convolution along time on a processor, where PyTorch's turns the sequence around and its weight gradient takes sixty times as long
as the convolution.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .onednn import has_convolutions_for

BLOCK = 64  # frames of gradient that are correlated with the input at a time; 16 to 64 take as long, 8 twice as long


def depthwise(x: Tensor, weight: Tensor) -> Tensor:
    """What `conv1d` with as many groups as channels and its ends padded by zeros gives, channels last.

    Args:
        x: (B, T, C).
        weight: (C, 1, K), K odd.

    Returns:
        (B, T, C).
    """
    if has_convolutions_for(x):
        return _Depthwise.apply(x, weight.to(x.dtype))
    return F.conv1d(x.transpose(1, 2), weight, padding=weight.shape[-1] // 2, groups=len(weight)).transpose(1, 2)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return correlate(x, weight, weight.shape[-1] // 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        taps = weight.shape[-1]
        for_x, for_weight = ctx.needs_input_grad
        return correlate(gradient, weight.flip(-1), taps // 2) if for_x else None, weight_gradient(
            x, gradient, taps
        ) if for_weight else None


def correlate(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """(B, T, C) with (C, 1, K) to (B, T + 2 * padding - K + 1, C), as an image of height 1 with its channels last, which is how `x` lies
    already.
    """
    image = x.unsqueeze(1).permute(0, 3, 1, 2)
    image = F.conv2d(image, weight.unsqueeze(2), padding=(0, padding), groups=x.shape[-1])
    return image.permute(0, 2, 3, 1).squeeze(1)


def weight_gradient(x: Tensor, gradient: Tensor, taps: int) -> Tensor:
    """(C, 1, taps): the sum over time of input times gradient, for each distance between them.

    It is a depthwise convolution itself, the gradient being the weight. Time is cut into blocks, each with channels of its own, so that the
    many-channelled, short convolution results that processors are good at.
    """
    batch, length, channels = x.shape
    blocks = -(-length // BLOCK)
    room = blocks * BLOCK - length
    x = F.pad(x, (0, 0, taps // 2, taps // 2 + room))
    x = x.unfold(1, BLOCK + taps - 1, BLOCK)  # (B, blocks, C, BLOCK + taps - 1), a view
    gradient = F.pad(gradient, (0, 0, 0, room)).view(batch, blocks, BLOCK, channels)
    each = correlate(
        x.permute(3, 0, 1, 2).reshape(1, BLOCK + taps - 1, -1), gradient.transpose(2, 3).reshape(-1, 1, BLOCK), 0
    )
    return each.view(taps, -1, channels).sum(1, dtype=torch.float32).to(each.dtype).T.unsqueeze(1)
