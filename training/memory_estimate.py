"""The memory that an update takes on a GPU, counted on fake tensors: they have a shape and a device, but no values.

No GPU is needed for it.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmpt.training.half_weights import HalfWeights
from mmpt.upstream.mmpt_av.recompute import checkpoint_blocks

aten = torch.ops.aten


@dataclass(frozen=True)
class Memory:
    """The bytes that a micro-batch needs, beside those that the weights need."""

    weights: int  # with gradients and the two moments of AdamW
    inputs: int
    saved: int  # for the backward pass, without checkpointing of blocks
    saved_checkpointed: int  # with it
    copies: int  # of the blocks' weights in half precision, which `saved` has, and checkpointing keeps, too
    block: int  # what a block saves at most, which checkpointing needs again in the backward pass
    largest: int  # the largest tensor

    def total(self, checkpointing: bool) -> int:
        """Return the bytes of all.

        The backward pass starts with all activations in memory. Its gradients come on top of them: taken for three
        times the largest tensor. The inputs of the next micro-batch are copied meanwhile.
        """
        saved = self.saved_checkpointed + self.copies + self.block if checkpointing else self.saved
        return self.weights + 2 * self.inputs + saved + 3 * self.largest


class LiveBytes(TorchDispatchMode):
    """Count the bytes of the tensors that are alive on GPUs.

    Attributes:
        now: the bytes of all tensors that were made in this mode, or given to `note`, and are still there.
        largest: the bytes of the largest one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.largest = 0
        self.known: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.device.type == "cuda":
                self.note(tensor)
        return result

    def note(self, tensor: Tensor) -> None:
        """Count a tensor's storage, until it is freed."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return

        def forget(_: weakref.ref) -> None:
            self.now -= size
            del self.known[key]

        self.known[key] = weakref.ref(storage, forget)
        self.now += size
        self.largest = max(self.largest, size)


def count_memory(
    model: nn.Module,
    blocks: list[nn.Module],
    bfloat16: bool,
    inputs: Callable[[], Any],
    loss: Callable[[Callable, Any], Tensor],
) -> Memory:
    """Count the memory of a model's forward pass in training, and what its backward pass needs.

    Args:
        model: in any state and on any device. It is left as it is.
        blocks: those that checkpointing would run again.
        bfloat16: whether the pass runs in bfloat16.
        inputs: returns what the loss needs of a batch; called where new tensors are fake.
        loss: returns the loss by a function that stands for the model, and inputs.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(FakeTensorMode())
        stack.enter_context(attention_of_gpus())
        live = stack.enter_context(LiveBytes())
        state = {name: on_gpu(tensor) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
        trained = sum(tensor.nbytes for tensor in state.values() if tensor.requires_grad)
        weights = live.now
        batch = inputs()
        given = live.now - weights
        live.largest = 0
        found = stack.enter_context(saved_by_blocks(blocks, live))
        stack.enter_context(as_in_training(model))
        with autocast_of_gpus(bfloat16):
            result = loss(lambda *arguments: functional_call(model, state, arguments), batch)
        saved = live.now - weights - given
        del result
    copies = HalfWeights(nn.ModuleList(blocks), torch.bfloat16 if bfloat16 else None)
    return Memory(
        weights=weights + 3 * trained,
        inputs=given,
        saved=saved,
        saved_checkpointed=saved - sum(kept - output for kept, output in found),
        copies=copies.nbytes,
        block=max((kept for kept, _ in found), default=0),
        largest=live.largest,
    )


def on_gpu(tensor: Tensor) -> Tensor:
    """Return an empty tensor like `tensor`, on a GPU."""
    empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
    return empty.requires_grad_(tensor.requires_grad)


@contextmanager
def as_in_training(model: nn.Module) -> Iterator[None]:
    """Put a model into training mode, without checkpointing of its blocks."""
    was_training = {module: module.training for module in model.modules()}
    checkpointing = [module for module in model.modules() if getattr(module, "checkpointing", False)]
    model.train()
    checkpoint_blocks(model, on=False)
    try:
        yield
    finally:
        for module, training in was_training.items():
            module.training = training
        for module in checkpointing:
            module.checkpointing = True  # type: ignore[assignment]  # mypy takes it for a sub-module


@contextmanager
def saved_by_blocks(blocks: list[nn.Module], live: LiveBytes) -> Iterator[list[tuple[int, int]]]:
    """Note what each pass through one of the blocks leaves in memory: all bytes, and those of its output alone."""
    found: list[tuple[int, int]] = []
    before: list[int] = []

    def start(block: nn.Module, arguments: Any) -> None:
        before.append(live.now)

    def end(block: nn.Module, arguments: Any, output: Tensor) -> None:
        found.append((live.now - before.pop(), output.untyped_storage().nbytes()))

    handles = [block.register_forward_pre_hook(start) for block in blocks]
    handles += [block.register_forward_hook(end) for block in blocks]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def autocast_of_gpus(bfloat16: bool) -> Iterator[None]:
    """Autocast as on a GPU; torch.autocast refuses without one."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", bfloat16)
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])


@contextmanager
def attention_of_gpus() -> Iterator[None]:
    """Attend with the kernels that GPUs have, which keep no weights; without a GPU, PyTorch would choose another."""

    def attend(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
    ) -> Tensor:
        if torch.is_autocast_enabled("cuda"):
            q, k, v = (one.to(torch.bfloat16) for one in (q, k, v))
        if attn_mask is None and q.dtype is torch.bfloat16:
            return aten._scaled_dot_product_flash_attention(q, k, v, dropout_p, is_causal)[0]
        bias = None
        if attn_mask is not None:
            shape = (*q.shape[:3], k.shape[2])
            bias = torch.zeros_like(attn_mask, dtype=q.dtype).masked_fill(~attn_mask, -torch.inf).expand(shape)
        return aten._scaled_dot_product_efficient_attention(q, k, v, bias, True, dropout_p, is_causal)[0]

    with patch.object(F, "scaled_dot_product_attention", attend):
        yield
