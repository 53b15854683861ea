"""The processes of a run: one without torchrun; with it, one for each GPU (NCCL) or several on CPUs (gloo)."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmpt.upstream.mmpt_av.conformer import FrameBatchNorm

# How long ranks wait for each other: the first one reads a large manifest, or builds the samples.
TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them.

    `control` is a process group on CPUs for small Python values: no GPU has to wait for them.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints for all."""
        return self.rank == 0

    def gather(self, value: Any) -> list:
        """Return every rank's value, in the order of ranks, on all ranks."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        dist.all_gather_object(values, value, group=self.control)
        return values

    def wait(self) -> None:
        """Wait until all ranks have called this."""
        if self.size > 1:
            dist.barrier(group=self.control)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model to train: gradients are averaged over ranks, batch norms see the frames of all ranks."""
        if self.size == 1:
            return model
        for module in model.modules():
            if isinstance(module, FrameBatchNorm):
                module.synchronised = True
        # Buffers agree on all ranks already: batch statistics are those of all frames.
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    def close(self) -> None:
        """Leave the process group."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join_world() -> World:
    """Return the world that torchrun's environment variables describe, or that of one process."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return World()
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT)
    control = dist.new_group(backend="gloo", timeout=TIMEOUT)
    return World(dist.get_rank(), size, int(os.environ.get("LOCAL_RANK", 0)), control)


@dataclass(frozen=True)
class Counts:
    """The size of one update: its items by name on each rank, all micro-batches together."""

    by_rank: list[dict[str, int]]

    def of(self, name: str) -> list[int]:
        """Return the items of this name, rank by rank."""
        return [counts[name] for counts in self.by_rank]

    def scale(self, name: str) -> float:
        """Return the factor of a rank's sum over its items, such that DDP's mean gradient is that of the global mean.

        DDP averages the gradients of the ranks, hence ranks / items rather than 1 / items.
        """
        return len(self.by_rank) / max(1, sum(self.of(name)))
