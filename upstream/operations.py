"""Count floating-point operations as PyTorch does, with those of oneDNN's layers, which it does not know."""

from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def operation_counter() -> FlopCounterMode:
    """Return a context that counts what runs in it: see its `get_total_flops`."""
    known: dict[Any, Any] = {}
    if hasattr(torch.ops.aten, "mkldnn_rnn_layer"):
        known[torch.ops.aten.mkldnn_rnn_layer] = recurrent_operations
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # not in every build
        known[torch.ops.mkldnn._linear_pointwise] = linear_operations
    return FlopCounterMode(display=False, custom_mapping=known)


def linear_operations(x_shape: list[int], weight_shape: list[int], *others: Any, **more: Any) -> int:
    """Return the operations of (rows, in_features) times (out_features, in_features): multiplications and additions."""
    return 2 * prod(x_shape) * weight_shape[0]


def recurrent_operations(
    x_shape: list[int], input_weight: list[int], state_weight: list[int], *others: Any, **more: Any
) -> int:
    """Return those of one LSTM layer in one direction.

    Args:
        x_shape: (T, B, in_features).
        input_weight: (4 · states, in_features).
        state_weight: (4 · states, states).
    """
    return 2 * prod(x_shape[:-1]) * (prod(input_weight) + prod(state_weight))
