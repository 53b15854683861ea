"""The precision that an encoder computes in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute matrix products inside in bfloat16; or, for "float32", let no convolution round to TF32.

    On GPUs, PyTorch lets convolutions do so unless told otherwise.
    """
    if precision == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def products_dtype(module: nn.Module, device: torch.device) -> torch.dtype:
    """Return the dtype that a module's matrix products have: autocast's, or else that of its weights."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
