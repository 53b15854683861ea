"""The weights of linear layers in half precision, made for a whole pass at once.

Under autocast each layer converts its weight and its bias, and the backward pass converts their gradients back. To
start such a small kernel takes as long as to start a large one. A compiled block of the audio encoder starts 91,
forward and backward; 22 of them are these conversions. Here some dozens of tensors are converted at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmpt.training.device import uses_bfloat16
from mmpt.training.settings import TrainSettings

# Tensors that are converted at once. Their gradients are converted when the last one of them is there.
TOGETHER = 32


def half_weights(model: nn.Module, settings: TrainSettings, device: torch.device) -> "HalfWeights":
    """Return the copies that a training uses: in bfloat16 on a GPU that trains in it, none elsewhere."""
    used = device.type == "cuda" and uses_bfloat16(settings, device)
    return HalfWeights(model, torch.bfloat16 if used else None)


class HalfWeights:
    """The trained weights and biases of a model's linear layers, and their copies in half precision.

    Results are those of autocast, except for compiled layers that are used several times: their gradients are added up
    in half precision, as those of uncompiled layers are, and no longer in float32. Each layer must be used: with
    several GPUs, the weights of one that is not get gradients of zero.

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

    @property
    def nbytes(self) -> int:
        """The bytes of the copies."""
        values = sum(module.get_parameter(name).numel() for module, name in self.places)
        return values * self.dtype.itemsize if self.dtype else 0

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the layers use copies in a forward pass and its backward pass, which must end in this context.

        The weights get the gradients.
        """
        weights = [module._parameters[name] for module, name in self.places]
        try:
            for first in range(0, len(weights), TOGETHER):
                copies = _Converted.apply(*weights[first : first + TOGETHER], self.dtype)
                convert_gradients_early(copies[0])
                for (module, name), copy in zip(self.places[first:], copies):
                    module._parameters[name] = copy  # as torch.func.functional_call does
            yield
        finally:
            for (module, name), weight in zip(self.places, weights):
                module._parameters[name] = weight


def convert_gradients_early(copy: Tensor) -> None:
    """Let the backward pass convert gradients as soon as it has them all, also those made together with `copy`.

    Of the steps that it can do, it does the one that was added last, and copies are made before all layers: it would
    convert at its very end, and several GPUs could not exchange gradients while earlier layers compute theirs.
    """
    # A private method of PyTorch: where it is missing, results are the same, and come later on several GPUs.
    if set_number := getattr(copy.grad_fn, "_set_sequence_nr", None):
        set_number(torch.iinfo(torch.int64).max)


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
