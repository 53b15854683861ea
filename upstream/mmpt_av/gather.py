"""Rows of all processes in one tensor, with gradient, for batch statistics and contrastive negatives under DDP."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class GatherRows(torch.autograd.Function):
    """The rows of every rank, in the order of ranks. Backward sums all ranks' gradients of the own rows."""

    @staticmethod
    def forward(context: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        context.sizes, context.own = sizes, len(rows)
        padded = rows.new_empty(len(sizes) * max(sizes), *rows.shape[1:])  # collectives need one shape on all ranks
        dist.all_gather_into_tensor(padded, pad_rows(rows, max(sizes)))
        if min(sizes) == max(sizes):
            return padded
        return torch.cat([theirs[:size] for theirs, size in zip(torch.split(padded, max(sizes)), sizes)])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        longest = max(context.sizes)
        if min(context.sizes) < longest:
            gradient = torch.cat([pad_rows(theirs, longest) for theirs in torch.split(gradient, context.sizes)])
        own = gradient.new_empty(longest, *gradient.shape[1:])
        dist.reduce_scatter_tensor(own, gradient.contiguous())
        return own[: context.own], None


def pad_rows(rows: Tensor, size: int) -> Tensor:
    """Return the rows, contiguous, with zeros after them up to `size` rows."""
    if len(rows) == size:
        return rows.contiguous()
    return torch.cat([rows, rows.new_zeros(size - len(rows), *rows.shape[1:])])


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
