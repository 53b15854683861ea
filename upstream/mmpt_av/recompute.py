"""Activation checkpointing of blocks (Chen et al. 2016): a third more arithmetic for a fraction of the memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .conformer import FrameBatchNorm, untracked

Context = AbstractContextManager[None]
_watchers: list[Callable[[], Context]] = []


def run_block(block: nn.Module, *inputs: Any, checkpointing: bool) -> Any:
    """Return a block's output.

    With `checkpointing`, only its inputs are kept for the backward pass. There it runs again, with the same random
    numbers: gradients are the same.
    """
    if not (checkpointing and torch.is_grad_enabled()):
        return block(*inputs)
    norms = [module for module in block.modules() if isinstance(module, FrameBatchNorm)]
    is_tracked = all(norm.tracked for norm in norms)

    @contextmanager
    def again() -> Iterator[None]:
        with ExitStack() as stack:
            if not is_tracked:
                stack.enter_context(untracked(block))
            for watcher in _watchers:
                stack.enter_context(watcher())
            yield

    return checkpoint(block, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), again()))


def checkpoint_blocks(model: nn.Module, on: bool) -> None:
    """Turn checkpointing on or off in every part of a model that runs its blocks by `run_block`."""
    for module in model.modules():
        if hasattr(module, "checkpointing"):
            module.checkpointing = on  # type: ignore[assignment]  # mypy takes it for a sub-module


@contextmanager
def watch_recomputation(watcher: Callable[[], Context]) -> Iterator[None]:
    """Enter the context that `watcher` returns whenever a block runs again in a backward pass."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
