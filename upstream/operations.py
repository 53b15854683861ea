"""Count floating-point operations as PyTorch does, with those of oneDNN's linear layers, which it does not know."""

from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def operation_counter() -> FlopCounterMode:
    """Return a context that counts what runs in it: see its `get_total_flops`."""
    known = {}
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # not in every build
        known[torch.ops.mkldnn._linear_pointwise] = linear_operations
    return FlopCounterMode(display=False, custom_mapping=known)


def linear_operations(x_shape: list[int], weight_shape: list[int], *others: Any, **more: Any) -> int:
    """Return the operations of (rows, in_features) times (out_features, in_features): multiplications and additions."""
    return 2 * prod(x_shape) * weight_shape[0]
