"""The processes of a run: one without torchrun; with it one for each GPU (NCCL), or several on a CPU (gloo)."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmpt.upstream.mmpt_av.conformer import FrameBatchNorm

PATIENCE = timedelta(
    minutes=30
)  # of a rank for the others: the first one reads a large manifest, or builds the samples


@dataclass(frozen=True)
class World:
    """Who takes part. `control` is a group for small plain values between processors, which no GPU has to wait for."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def gather(self, value: Any) -> list:
        """Every rank's value, in the order of ranks, on all of them."""
        if self.size == 1:
            return [value]
        everyones = [None] * self.size
        dist.all_gather_object(everyones, value, group=self.control)
        return everyones

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            dist.barrier(group=self.control)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the ranks, and whose batch norms see the frames of all."""
        if self.size == 1:
            return model
        for module in model.modules():
            if isinstance(module, FrameBatchNorm):
                module.synchronised = True
        # Buffers are the same on all ranks already: batch statistics are those of all frames.
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    def close(self) -> None:
        """Leaves the group."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join_world() -> World:
    """The world that torchrun's environment variables describe; one process without them."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return World()
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    return World(
        dist.get_rank(), size, int(os.environ.get("LOCAL_RANK", 0)), dist.new_group(backend="gloo", timeout=PATIENCE)
    )


@dataclass(frozen=True)
class Counts:
    """What one update holds, counted by name on every rank, its micro-batches together."""

    by_rank: list[dict[str, int]]

    def of(self, name: str) -> list[int]:
        """By rank."""
        return [counts[name] for counts in self.by_rank]

    def share(self, name: str) -> float:
        """What turns a sum over the own items into this rank's part of the mean over all items of all ranks: DDP averages the
        ranks' gradients, hence the factor.
        """
        return len(self.by_rank) / max(1, sum(self.of(name)))
