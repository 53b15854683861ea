"""The weights of linear layers in half precision, made for a whole pass at once.

Under autocast each layer converts its weight and its bias, and the backward pass converts their gradients back. Each of
these small kernels keeps a GPU's processor as long as a large one: of 91 that a compiled block of the audio encoder
starts, forward and backward, they are 22. Here some dozens of tensors are converted at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Tensors that are converted at once. The gradients of all of them are converted when the last one is there; with
# several GPUs, these exchange gradients while earlier layers compute theirs.
TOGETHER = 32


class HalfWeights:
    """The trained weights and biases of a model's linear layers, and their copies in half precision.

    Args:
        model: whose layers are meant. Which of its weights are trained must not change later.
        dtype: of the copies; None makes none.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype | None):
        self.dtype = dtype
        self.places = [
            (module, name)
            for module in model.modules()
            if dtype and is_linear(module)
            for name, weight in module.named_parameters(recurse=False)
            if weight.requires_grad
        ]

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the layers use the copies, in a forward pass and its backward pass. The weights get the gradients."""
        weights = [module._parameters[name] for module, name in self.places]
        try:
            for first in range(0, len(weights), TOGETHER):
                copies = _Converted.apply(*weights[first : first + TOGETHER], self.dtype)
                for (module, name), copy in zip(self.places[first:], copies):
                    module._parameters[name] = copy  # as torch.func.functional_call does
            yield
        finally:
            for (module, name), weight in zip(self.places, weights):
                module._parameters[name] = weight


def is_linear(module: nn.Module) -> bool:
    """Return True if a module's own parameters are those of linear layers."""
    return isinstance(module, nn.Linear) or hasattr(module, "in_proj_weight")  # of queries, keys and values


class _Converted(torch.autograd.Function):
    """Tensors of one precision in another, in few kernels; likewise their gradients."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        *tensors, dtype = inputs
        ctx.set_materialize_grads(False)
        ctx.dtype = tensors[0].dtype
        return converted(tensors, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        made = iter(converted([one for one in gradients if one is not None], ctx.dtype))
        return *(None if one is None else next(made) for one in gradients), None


def converted(tensors: list[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Return copies of tensors in another precision."""
    copies = tuple(torch.empty_like(one, dtype=dtype) for one in tensors)
    if tensors:
        torch._foreach_copy_(copies, tensors)
    return copies
