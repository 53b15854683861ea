"""Whether oneDNN computes PyTorch's convolutions of a tensor.

Code that is written as a convolution for speed must ask: elsewhere a convolution is a slow loop over channels.
"""

from functools import cache

import torch
from torch import Tensor


def has_convolutions_for(x: Tensor) -> bool:
    """Return True if oneDNN convolves `x`: on an x86 processor, float32 from AVX2 on and bfloat16 from AVX-512 on."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and _known(x.dtype)


@cache
def _known(dtype: torch.dtype) -> bool:
    enough = {torch.float32: ("AVX2", "AVX512"), torch.bfloat16: ("AVX512",)}.get(dtype, ())
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and torch.backends.cpu.get_cpu_capability() in enough
