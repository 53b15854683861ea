"""Where PyTorch's convolutions on a processor are oneDNN's: what is written as a convolution for speed must not be elsewhere, where it would
be a loop over channels.
"""

from functools import cache

import torch
from torch import Tensor


def has_convolutions_for(x: Tensor) -> bool:
    """Whether `x` lies on an x86 processor that oneDNN convolves its numbers on: float32 from AVX2, bfloat16 from AVX-512."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and _known(x.dtype)


@cache
def _known(dtype: torch.dtype) -> bool:
    enough = {torch.float32: ("AVX2", "AVX512"), torch.bfloat16: ("AVX512",)}.get(dtype, ())
    return torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() in enough
