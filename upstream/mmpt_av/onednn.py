"""Whether oneDNN computes PyTorch's convolutions of a tensor.

Code that is written as a convolution for speed must ask: elsewhere a convolution is a slow loop over channels.
"""

import torch
from torch import Tensor

KNOWN = (torch.float32, torch.bfloat16)


def has_convolutions_for(x: Tensor) -> bool:
    """Return True if oneDNN convolves `x`, or a float32 copy of it: on an x86 processor with AVX2."""
    if torch.compiler.is_compiling() or x.device.type != "cpu" or x.dtype not in KNOWN:
        return False
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
