"""Rows of all processes in one tensor, with gradient: what batch statistics and contrastive negatives need under DDP."""

import torch
import torch.distributed as dist
from torch import Tensor


class GatherRows(torch.autograd.Function):
    """The rows of every rank, in the order of ranks. Backward sums what all ranks ask of the own rows."""

    @staticmethod
    def forward(context, rows: Tensor, sizes: list[int]) -> Tensor:
        context.start, context.size = sum(sizes[: dist.get_rank()]), len(rows)
        own = rows.new_zeros(max(sizes), *rows.shape[1:])  # collectives want one shape on all ranks
        own[: len(rows)] = rows
        everyones = [torch.empty_like(own) for _ in sizes]
        dist.all_gather(everyones, own)
        return torch.cat([theirs[:size] for theirs, size in zip(everyones, sizes)])

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[context.start : context.start + context.size], None


def gather_rows(rows: Tensor, sizes: list[int]) -> Tensor:
    """(sum of sizes, ...) out of every rank's `rows` (its size, ...), with gradient.

    With a loss that is summed over all ranks, each rank's gradient is the one that a single process would give its rows.

    Args:
        sizes: number of rows of each rank, the same list on all of them. One entry: `rows` as they are.
    """
    return rows if len(sizes) == 1 else GatherRows.apply(rows, sizes)
