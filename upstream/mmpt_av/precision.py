"""The precision that an encoder computes in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
