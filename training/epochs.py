"""Which items an update takes: shuffled by seed and epoch, and split over ranks so that each is seen once an epoch."""

import zlib
from collections.abc import Iterator
from typing import TypeVar

import torch

from mmpt.training.distributed import World

Item = TypeVar("Item")


def ranks_share(batches: list[Item], world: World, accumulate: int) -> list[Item]:
    """This rank's micro-batches, in order: update n takes `accumulate` of them on each rank. A last incomplete update is left out."""
    whole = len(batches) // (world.size * accumulate) * world.size * accumulate
    return batches[world.rank : whole : world.size]


class EpochBatches:
    """Item numbers of one epoch's micro-batches on one rank. A DataLoader's batch_sampler.

    Args:
        items: in the data set. batch_size: of an update, over all ranks and micro-batches.
        skip: updates at the epoch's start that are left out, done before an interruption.
    """

    def __init__(self, items: int, batch_size: int, seed: int, epoch: int, skip: int, world: World, accumulate: int):
        order = torch.randperm(
            items, generator=torch.Generator().manual_seed(zlib.crc32(f"{seed}/{epoch}".encode()))
        ).tolist()
        size = batch_size // (world.size * accumulate)
        batches = [order[n : n + size] for n in range(0, len(order) - size + 1, size)]
        self.batches = [
            [(epoch, i) for i in batch] for batch in ranks_share(batches, world, accumulate)[skip * accumulate :]
        ]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)
