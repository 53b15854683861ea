"""The index tensors of a batch: made with it, and copied to a GPU all at once."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Kinds = dict[str, tuple[torch.dtype, tuple[int, ...]]]  # type and shape of each table
ALIGNED = 64  # bytes: kernels read fastest from there


class Tables:
    """Small tensors by name, each made when it is first asked for.

    A GPU would need several kernels for each of them, and starting one takes as long as starting one copy of them all.
    So training asks for them where a batch is made, on the CPU. On their way to another process or device they lie in
    one piece of memory.

    Args:
        device: of the tensors.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self._tables: dict[str, Tensor] = {}
        self._memory: Tensor | None = None  # bytes, under all tables

    def get(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """Return a table; if it is not there yet, what `make` returns, on the tables' device."""
        if name not in self._tables:
            self._tables[name], self._memory = make(), None
        return self._tables[name]

    def names(self) -> set[str]:
        """Return the names of the tables that are there."""
        return set(self._tables)

    def to(self, device: torch.device | str) -> "Tables":
        """Return the tables on a device; to a GPU they are copied in the background."""
        device = torch.device(device)
        return self if device == self.device else tables_in(send(self._joined(), device), self._kinds())

    def pin_memory(self) -> "Tables":
        """Return the tables in pinned memory."""
        return tables_in(self._joined().pin_memory(), self._kinds())

    def _kinds(self) -> Kinds:
        return {name: (table.dtype, tuple(table.shape)) for name, table in self._tables.items()}

    def _joined(self) -> Tensor:
        """Return the memory under all tables; if they do not share one yet, they are copied into it."""
        if self._memory is None:
            sizes = [aligned(table.nbytes) for table in self._tables.values()]
            joined = tables_in(torch.empty(sum(sizes), dtype=torch.uint8, device=self.device), self._kinds())
            for name, table in joined._tables.items():
                table.copy_(self._tables[name])
            self.__dict__ = joined.__dict__
        assert self._memory is not None
        return self._memory

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process be sent the memory alone."""
        return tables_in, (self._joined(), self._kinds())


def tables_in(memory: Tensor, kinds: Kinds) -> Tables:
    """Return the tables that lie one after another in a piece of memory, of bytes."""
    tables, start = Tables(memory.device), 0
    for name, (dtype, shape) in kinds.items():
        size = math.prod(shape) * dtype.itemsize
        tables._tables[name] = memory[start : start + size].view(dtype).view(shape)
        start += aligned(size)
    tables._memory = memory
    return tables


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. From the CPU to a GPU it is copied from pinned memory, so that nothing waits."""
    to_gpu = device.type == "cuda" and tensor.device.type == "cpu"
    # Without a GPU, tensors that say "cuda" are fake ones, for tests.
    return (tensor.pin_memory() if to_gpu and torch.cuda.is_available() else tensor).to(device, non_blocking=to_gpu)


def aligned(size: int) -> int:
    """Return a number of bytes, rounded up to where the next table may begin."""
    return -(-size // ALIGNED) * ALIGNED
