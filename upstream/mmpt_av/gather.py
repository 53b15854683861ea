"""Rows of all processes in one tensor, with gradient, for batch statistics and contrastive negatives under DDP."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class GatherRows(torch.autograd.Function):
    """The rows of every rank, in the order of ranks. Backward sums all ranks' gradients of the own rows."""

    @staticmethod
    def forward(context: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        context.start, context.size = sum(sizes[: dist.get_rank()]), len(rows)
        own = rows.new_zeros(max(sizes), *rows.shape[1:])  # collectives need one shape on all ranks
        own[: len(rows)] = rows
        everyones = [torch.empty_like(own) for _ in sizes]
        dist.all_gather(everyones, own)
        return torch.cat([theirs[:size] for theirs, size in zip(everyones, sizes)])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[context.start : context.start + context.size], None


def gather_rows(rows: Tensor, sizes: list[int]) -> Tensor:
    """Gather every rank's `rows`, with gradient.

    If the loss is summed over all ranks, each rank's gradient is the one that a single process would compute for its
    rows.

    Args:
        rows: (the rank's size, ...).
        sizes: number of rows of each rank, the same list on all of them. With one entry `rows` are returned unchanged.

    Returns:
        (sum of sizes, ...).
    """
    if len(sizes) == 1:
        return rows
    gathered: Tensor = GatherRows.apply(rows, sizes)  # type: ignore[no-untyped-call]
    return gathered
