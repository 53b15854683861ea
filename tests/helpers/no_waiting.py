"""Fake GPUs, and a guard that finds where the processor would wait for one. Neither needs a GPU.

A test puts a model and a batch on the fake GPU with `to_fake_gpu`, as the trainer does ahead of a step, and runs the
step (with `backward`) inside `NoWaiting`. Memory cannot be pinned without a GPU, so every copy between devices counts.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensor, FakeTensorMode
from torch.autograd.function import BackwardCFunction
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten

# Their results, or the shapes of these, are read on the processor.
READ_ON_THE_PROCESSOR = {
    aten._local_scalar_dense,  # of item, tolist, bool and float
    aten.allclose,
    aten.bincount,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten._unique,
    aten._unique2,
    aten.unique_consecutive,
    aten.unique_dim,
}
INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
# torch 2.8 wants a GPU's driver to put modules on the fake GPU, and for gradients there.
HAS_FAKE_GPU = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 11)
MASKS = (torch.bool, torch.uint8)
Movable = TypeVar("Movable")  # has a method `to`


class Waits(AssertionError):
    """The processor would wait for the GPU."""


@contextmanager
def fake_gpu(bfloat16: bool = False) -> Iterator[FakeTensorMode]:
    """Make tensors fake: they have a device, "cuda" too, and a shape, but no values.

    With `bfloat16`, operations on "cuda" run under autocast, which `torch.autocast` refuses without a GPU.
    """
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    with FakeTensorMode() as mode:
        torch.set_autocast_enabled("cuda", bfloat16)
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        try:
            yield mode
        finally:
            torch.set_autocast_enabled("cuda", before[0])
            torch.set_autocast_dtype("cuda", before[1])
            torch.clear_autocast_cache()


def to_fake_gpu(value: Movable, mode: FakeTensorMode) -> Movable:
    """Return a copy of a module or a batch on the fake GPU. Its values are known until here, and lost."""
    is_module = isinstance(value, nn.Module)
    with _disable_current_modes(), (_FakeGpuCopies if is_module else FakeCopyMode)(mode):
        fake = copy.deepcopy(value)
    return fake if is_module else fake.to("cuda")  # type: ignore[attr-defined]


class _FakeGpuCopies(FakeCopyMode):
    """Let copy.deepcopy put all tensors on the fake GPU: modules cannot move fake weights."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(func, types, args, kwargs)
        if not isinstance(result, FakeTensor) or result.device.type == "cuda":
            return result
        with self.fake_mode:
            return result.to("cuda")


def backward(loss: Tensor) -> None:
    """Run the backward pass of a fake scalar; weights get their gradients.

    `loss.backward()` needs a GPU even for fake tensors. Here the nodes of its graph are called one by one.
    """
    ready, gradients = [loss.grad_fn], {loss.grad_fn: [torch.ones_like(loss)]}
    uses = Counter(after for node in nodes_under(loss.grad_fn) for after, _ in node.next_functions if after)
    with torch.no_grad():
        while ready:
            node = ready.pop()
            for (after, number), gradient in zip(node.next_functions, run_node(node, gradients.pop(node))):
                if after is None:
                    continue
                sums = gradients.setdefault(after, [None] * len(after._input_metadata))
                if gradient is not None:
                    tensor = after._input_metadata[number]
                    gradient = gradient.sum_to_size(tuple(tensor.shape)).to(tensor.dtype)  # as PyTorch's engine does
                    sums[number] = gradient if sums[number] is None else sums[number] + gradient
                uses[after] -= 1
                if uses[after] == 0:
                    ready.append(after)


def nodes_under(root: Any) -> set:
    """Return the nodes of a graph of autograd that can be reached from one of them."""
    found, new = {root}, [root]
    while new:
        followers = {after for after, _ in new.pop().next_functions if after} - found
        found |= followers
        new += followers
    return found


def run_node(node: Any, gradients: list[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Return the gradients of a node's inputs, given those of its outputs; None is a gradient of zeros."""
    if isinstance(node, BackwardCFunction):  # written in Python, which PyTorch's engine gives the zeros
        outputs = node._input_metadata  # type: ignore[attr-defined]
        zeros = [torch.zeros(tuple(one.shape), dtype=one.dtype, device=one.device) for one in outputs]
        made = node.apply(*(zero if one is None else one for one, zero in zip(gradients, zeros)))
    else:
        made = node(*gradients)
    return made if isinstance(made, tuple) else (made,)


class NoWaiting(TorchDispatchMode):
    """Raise Waits at the first operation, of a forward or a backward pass, that would make the processor wait.

    The traceback of a forward pass shows the line of the program.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        reason = reason_to_wait(func, args, kwargs)
        if reason:
            shapes = ", ".join(f"{one.dtype} {tuple(one.shape)} on {one.device.type}" for one in tensors(args))
            raise Waits(f"{func} {reason}; it was called with {shapes or args}")
        result = func(*args, **kwargs)
        if on_gpu(tensors((args, kwargs))) and any(one.device.type == "cpu" for one in tensors(result)):
            raise Waits(f"{func} returns a tensor of the processor")
        return result


def reason_to_wait(func: Any, args: tuple, kwargs: dict) -> str:
    """Return why an operation makes the processor wait for the GPU; "" if it does not."""
    given, operation = tensors((args, kwargs)), getattr(func, "overloadpacket", None)
    target = kwargs.get("device")
    is_sent = target is not None and torch.device(target).type == "cuda"
    if not on_gpu(given):
        return "copies from the processor, from memory that is not pinned" if given and is_sent else ""
    if operation in READ_ON_THE_PROCESSOR:
        return "is read on the processor"
    if operation is aten.repeat_interleave and len(args) == 1 and kwargs.get("output_size") is None:
        return "reads the repeats on the processor, as it has no output_size"
    if operation in INDEXED and any(one.dtype in MASKS for one in tensors(args[1])) and not fills(operation, args):
        return "counts what a mask picks on the processor"
    # A scalar of the processor is passed by value, unless a copy is asked for.
    if any(one.device.type == "cpu" and (one.dim() or operation is aten.copy_) for one in given):
        return "copies between the devices"
    return "copies to the processor" if target is not None and not is_sent else ""


def fills(operation: Any, args: tuple) -> bool:
    """Return True if a mask and one value are given to fill in, for which PyTorch fills and does not count."""
    return operation is not aten.index and len(tensors(args[1])) == 1 and args[2].numel() == 1


def on_gpu(values: list[Tensor]) -> bool:
    """Return True if one of the tensors lies on a GPU."""
    return any(one.device.type == "cuda" for one in values)


def tensors(values: Any) -> list[Tensor]:
    """Return the tensors in nested values."""
    return [one for one in tree_leaves(values) if isinstance(one, Tensor)]
