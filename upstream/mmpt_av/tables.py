"""The index tensors of a batch, which travel together."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Specs = dict[str, tuple[torch.dtype, tuple[int, ...]]]  # type and shape of each table
ALIGNED = 64  # bytes; kernels read fastest from multiples of 16


class Tables:
    """Index tensors by name, each made when it is first asked for.

    A GPU needs several kernels to make one, and starting a kernel takes as long as starting one copy of them all. So
    they are made on the CPU, in training by the process that reads the batch. On their way to another process or device
    they lie in one piece of memory.

    Args:
        device: of the tensors.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self._tables: dict[str, Tensor] = {}
        self._memory: Tensor | None = None  # of all tables, if they have travelled and none was added since

    def get(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """Return a table; if it is not there yet, what `make` returns, on the tables' device."""
        if name not in self._tables:
            self._tables[name], self._memory = make(), None
        return self._tables[name]

    def to(self, device: torch.device | str) -> "Tables":
        """Return the tables on a device; to a GPU they are copied in the background."""
        device = torch.device(device)
        if device == self.device:
            return self
        moved = tables_in(send(self._joined(), device), self._specs())
        # torch.compile takes a part of other memory for unaligned, and with it all that its kernels make of it.
        moved._tables, moved._memory = apart(moved._tables), None
        return moved

    def pin_memory(self) -> "Tables":
        """Return the tables in pinned memory."""
        return tables_in(self._joined().pin_memory(), self._specs())

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process be sent the memory alone."""
        return tables_in, (self._joined(), self._specs())

    def _specs(self) -> Specs:
        return {name: (table.dtype, tuple(table.shape)) for name, table in self._tables.items()}

    def _joined(self) -> Tensor:
        """Return all tables as bytes, one after another."""
        if self._memory is not None:
            return self._memory
        size = sum(room(table.nbytes) for table in self._tables.values())
        joined = tables_in(torch.empty(size, dtype=torch.uint8, device=self.device), self._specs())
        for name, table in joined._tables.items():
            table.copy_(self._tables[name])
        assert joined._memory is not None
        return joined._memory


def tables_in(memory: Tensor, specs: Specs) -> Tables:
    """Return the tables that lie one after another in a piece of memory, of bytes."""
    tables, start = Tables(memory.device), 0
    for name, (dtype, shape) in specs.items():
        size = math.prod(shape) * dtype.itemsize
        tables._tables[name] = memory[start : start + size].view(dtype).view(shape)
        start += room(size)
    tables._memory = memory
    return tables


def apart(tables: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of tables, each in memory of its own; a GPU needs one kernel for each type of number."""
    copies = {name: torch.empty_like(table) for name, table in tables.items()}
    for dtype in {table.dtype for table in tables.values()}:
        names = [name for name, table in tables.items() if table.dtype == dtype]
        torch._foreach_copy_([copies[name] for name in names], [tables[name] for name in names])
    return copies


def room(size: int) -> int:
    """Return the bytes that a table of `size` bytes takes among others."""
    return -(-size // ALIGNED) * ALIGNED


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. From the CPU to a GPU it is copied from pinned memory, so that nothing waits."""
    to_gpu = device.type == "cuda" and tensor.device.type == "cpu"
    is_fake = type(tensor) is not Tensor  # has no memory
    return (tensor.pin_memory() if to_gpu and not is_fake else tensor).to(device, non_blocking=to_gpu)
