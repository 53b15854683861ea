"""The order of an epoch: items are shuffled by seed and epoch, and split over ranks so that each is seen once."""

from collections.abc import Iterator
from typing import TypeVar

import torch

from mmpt.training.distributed import World
from mmpt.training.draws import named_generator

MicroBatch = TypeVar("MicroBatch")


def batches_of_rank(batches: list[MicroBatch], world: World, accumulate: int) -> list[MicroBatch]:
    """Return this rank's micro-batches of an epoch, in order.

    An update takes `accumulate` of them on each rank. An incomplete last update is left out.
    """
    complete = len(batches) // (world.size * accumulate) * world.size * accumulate
    return batches[world.rank : complete : world.size]


def epoch_order(items: int, seed: int, epoch: int) -> list[int]:
    """Return the numbers of all items in the order of an epoch."""
    order: list[int] = torch.randperm(items, generator=named_generator(seed, epoch)).tolist()
    return order


class EpochBatches:
    """Item numbers, as (epoch, item), of one epoch's micro-batches on one rank; a DataLoader's batch_sampler.

    Args:
        items: number of items in the data set.
        batch_size: of an update, over all ranks and micro-batches.
        seed: of the run.
        epoch: which order is drawn.
        skip: updates at the epoch's start that are left out: they were done before an interruption.
        world: the processes.
        accumulate: micro-batches of an update on each rank.
    """

    def __init__(self, items: int, batch_size: int, seed: int, epoch: int, skip: int, world: World, accumulate: int):
        order = epoch_order(items, seed, epoch)
        size = batch_size // (world.size * accumulate)
        batches = [order[n : n + size] for n in range(0, len(order) - size + 1, size)]
        own = batches_of_rank(batches, world, accumulate)[skip * accumulate :]
        self.batches = [[(epoch, item) for item in batch] for batch in own]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)
