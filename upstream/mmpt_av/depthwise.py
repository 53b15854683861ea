"""Depthwise convolution along time.

On a processor PyTorch's own transposes the sequence, and its weight gradient takes sixty times as long as the
convolution. GPUs have kernels of their own (depthwise_triton.py).
"""

import os
import shutil
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .onednn import has_convolutions_for
from .packing import Places

BLOCK = 64  # frames of gradient to correlate with the input at a time; 16 to 64 take equally long, 8 twice as long


@cache
def has_triton() -> bool:
    """Return True if Triton makes kernels for this machine's GPUs, from Volta on.

    It builds a launcher for each kernel with a C compiler and Python's headers, which not every machine has.
    """
    if find_spec("triton") is None:
        return False
    if not torch.cuda.is_available():
        return True  # tensors that say "cuda" here are fake ones, for tests
    return torch.cuda.get_device_capability() >= (7, 0) and can_build()


def can_build() -> bool:
    """Return True if Triton finds a C compiler and Python's headers; on Windows it brings its own."""
    if os.name == "nt":
        return True
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")  # as Triton does
    return compiler is not None and Path(sysconfig.get_path("include", scheme), "Python.h").is_file()


def depthwise_inside(x: Tensor, weight: Tensor, places: Places) -> Tensor:
    """Convolve inside each utterance of a packed batch, with zeros around it: (total, C) to the same shape.

    Args:
        x: (total, C).
        weight: (C, 1, K), K odd.
        places: of the utterances.
    """
    # Compiled code has Triton anyway.
    if x.device.type == "cuda" and x.dtype is not torch.float64 and (torch.compiler.is_compiling() or has_triton()):
        from .depthwise_triton import depthwise as on_gpu

        out: Tensor = on_gpu(x, weight, places.owners)
        return out
    if not torch.compiler.is_compiling() and places.packing.dense:
        return depthwise(x.view(*places.visible.shape, -1), weight).reshape(x.shape)
    spread, rows = places.spread(x, gap=weight.shape[-1] // 2)
    return depthwise(spread[None], weight)[0].index_select(0, rows)


def depthwise(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve like `conv1d` with as many groups as channels and zeros at both ends, channels last.

    Args:
        x: (B, T, C).
        weight: (C, 1, K), K odd.

    Returns:
        (B, T, C).
    """
    if has_convolutions_for(x):
        out: Tensor = _Depthwise.apply(x, weight)  # type: ignore[no-untyped-call]
        return out
    return F.conv1d(x.transpose(1, 2), weight, padding=weight.shape[-1] // 2, groups=len(weight)).transpose(1, 2)


class _Depthwise(torch.autograd.Function):
    """The convolution in float32, whatever the precision of `x`.

    oneDNN's bfloat16 kernel, as in torch 2.11, never returns for some lengths: with 256 channels and 16 threads, for
    one sequence of 48, 160 or 1936 frames, for example.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return correlate(x.float(), weight.float(), weight.shape[-1] // 2).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        taps = weight.shape[-1]
        wants_x, wants_weight = ctx.needs_input_grad
        gradient = gradient.float()
        for_x = correlate(gradient, weight.float().flip(-1), taps // 2).to(x.dtype) if wants_x else None
        for_weight = weight_gradient(x.float(), gradient, taps).to(weight.dtype) if wants_weight else None
        return for_x, for_weight


def correlate(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Correlate (B, T, C) with (C, 1, K), both float32: (B, T + 2 * padding - K + 1, C).

    To oneDNN it is an image of height 1 with its channels last, which is the layout that `x` has already.
    """
    image = x.unsqueeze(1).permute(0, 3, 1, 2)
    with torch.autocast("cpu", enabled=False):
        image = F.conv2d(image, weight.unsqueeze(2), padding=(0, padding), groups=x.shape[-1])
    return image.permute(0, 2, 3, 1).squeeze(1)


def weight_gradient(x: Tensor, gradient: Tensor, taps: int) -> Tensor:
    """Return the weight's gradient (C, 1, taps): the sum over time of input times gradient, at each distance.

    This is a depthwise convolution too, with the gradient as its weight. Time is cut into blocks that become channels:
    processors are fast at short convolutions of many channels.
    """
    batch, length, channels = x.shape
    blocks = -(-length // BLOCK)
    room = blocks * BLOCK - length
    x = F.pad(x, (0, 0, taps // 2, taps // 2 + room))
    x = x.unfold(1, BLOCK + taps - 1, BLOCK)  # (B, blocks, C, BLOCK + taps - 1), a view
    gradient = F.pad(gradient, (0, 0, 0, room)).view(batch, blocks, BLOCK, channels)
    sequence = x.permute(3, 0, 1, 2).reshape(1, BLOCK + taps - 1, -1)
    each = correlate(sequence, gradient.transpose(2, 3).reshape(-1, 1, BLOCK), 0)
    return each.view(taps, -1, channels).sum(1).T.unsqueeze(1)
