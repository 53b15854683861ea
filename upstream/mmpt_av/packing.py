"""Batches without padding: utterances one after another in one long sequence.

Layers that look at one frame at a time (linear layers, norms, batch statistics) see valid frames only, because there
are no others. Layers that look at neighbours (attention, convolution) ask this class where utterances end.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .tables import Tables, send


class Packing:
    """The places of a batch's utterances in the packed sequence.

    All index tensors depend on the lengths alone. They are computed once, when they are first asked for.

    Args:
        lengths: frames of each utterance, all at least 1.
        device: of the index tensors.
        tables: where they are kept, on another device perhaps.
        name: of this packing, if several share the tables.
    """

    def __init__(
        self,
        lengths: list[int],
        device: torch.device | str = "cpu",
        tables: Tables | None = None,
        name: str = "frames",
    ):
        self.lengths = lengths
        self.total = sum(lengths)
        self.longest = max(lengths, default=0)
        self.dense = min(lengths, default=0) == self.longest  # no padding to save: reshaping is enough
        self.tables = Tables(device) if tables is None else tables
        self.name = name
        self.counts = self.table("counts", lambda: send(torch.tensor(lengths, dtype=torch.int64), self.device))

    @property
    def device(self) -> torch.device:
        """The device of the index tensors."""
        return self.tables.device

    def table(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """Return an index tensor; `make` computes it the first time."""
        return self.tables.get(f"{name} of {self.name}", make)

    def to(self, device: torch.device | str) -> "Packing":
        """Return the packing on a device; to a GPU it is copied in the background."""
        return Packing(self.lengths, tables=self.tables.to(device), name=self.name)

    def pin_memory(self) -> "Packing":
        """Return the packing in pinned memory."""
        return Packing(self.lengths, tables=self.tables.pin_memory(), name=self.name)

    def shrunk(self, factor: int) -> "Packing":
        """Return the packing of utterances with a `factor`-th of the frames, rounded up; it shares the tables."""
        lengths = [-(-n // factor) for n in self.lengths]
        return Packing(lengths, tables=self.tables, name=f"{self.name} / {factor}")

    def starts(self) -> Tensor:
        """Return the position (B,) of each utterance's first frame."""
        return self.table("starts", lambda: self.counts.cumsum(0) - self.counts)

    def offsets(self) -> Tensor:
        """Return the starts of the utterances and the end of the last, (B + 1,) int32, as kernels of attention want."""
        return self.table("offsets", lambda: F.pad(self.counts.cumsum(0, dtype=torch.int32), (1, 0)))

    def owners(self) -> Tensor:
        """Return the number (total,) of the utterance that each frame belongs to."""
        # With the size given, a GPU need not report it.
        return self.table("owners", lambda: torch.repeat_interleave(self.counts, output_size=self.total))

    def place(self, starts: Tensor) -> Tensor:
        """Return the positions (total,) of the frames if utterance i begins at `starts[i]`."""
        shift = (starts - self.starts()).index_select(0, self.owners())
        return torch.arange(self.total, device=self.device) + shift

    def within(self) -> Tensor:
        """Return the position (total,) of each frame in its utterance."""
        return self.table("within", lambda: self.place(torch.zeros_like(self.counts)))

    def slots(self, gap: int) -> Tensor:
        """Return the positions (total,) of the frames if `gap` empty places follow each utterance."""
        return self.table(f"slots {gap}", lambda: torch.arange(self.total, device=self.device) + gap * self.owners())

    def strided(self, factor: int) -> Tensor:
        """Return the positions (total,) of the frames if each utterance has `factor` places for each of its states.

        It has a `factor`-th as many states as frames, rounded up, and one more, which is empty.
        """

        def make() -> Tensor:
            states = self.shrunk(factor)
            return self.place(factor * (states.starts() + torch.arange(len(self.lengths), device=self.device)))

        return self.table(f"strided {factor}", make)

    def empty(self, factor: int) -> Tensor:
        """Return a mask of the places that `strided` leaves empty, True where no frame lies."""

        def make() -> Tensor:
            places = factor * (self.shrunk(factor).total + len(self.lengths))
            return torch.ones(places, dtype=torch.bool, device=self.device).index_fill(0, self.strided(factor), False)

        return self.table(f"empty {factor}", make)

    def cells(self) -> Tensor:
        """Return the positions (total,) of the frames in a flattened (B * longest) padded batch."""
        return self.table(
            "cells", lambda: self.place(self.longest * torch.arange(len(self.lengths), device=self.device))
        )

    def visible(self) -> Tensor:
        """Return a mask (B, longest), True on frames and False on the padding of a padded batch."""
        return self.table("visible", lambda: torch.arange(self.longest, device=self.device) < self.counts.unsqueeze(1))

    def prepare(self) -> "Packing":
        """Make the index tensors that `pack` and `unpack` will ask for, and return the packing."""
        if not self.dense:
            self.cells()
        return self

    def pack(self, padded: Tensor) -> Tensor:
        """Turn (B, longest, C) into (total, C)."""
        flat = padded.reshape(-1, padded.shape[-1])
        return flat if self.dense else flat.index_select(0, self.cells())

    def unpack(self, packed: Tensor) -> Tensor:
        """Turn (total, C) into (B, longest, C), zero past each utterance's end."""
        shape = (len(self.lengths), self.longest, packed.shape[-1])
        if self.dense:
            return packed.reshape(shape)
        flat = packed.new_zeros(shape[0] * shape[1], shape[2])
        return flat.index_copy(0, self.cells(), packed).reshape(shape)

    def split(self, packed: Tensor) -> list[Tensor]:
        """Return each utterance's rows of (total, ...), as views."""
        return list(torch.split(packed, self.lengths))

    def places(self, gap: int) -> "Places":
        """Return what blocks with convolutions that reach `gap` frames must know of the packing."""
        owners = self.table("short owners", lambda: self.owners().to(torch.int32))
        return Places(self, owners, self.slots(gap), self.offsets(), self.cells(), self.visible())


class Places(NamedTuple):
    """A packing as blocks take it. Compiled code looks at the tensors alone, and serves batches of any size."""

    packing: Packing  # compiled code must not look at it: it holds numbers
    owners: Tensor  # (total,) int32, see Packing.owners
    slots: Tensor  # (total,), see Packing.slots
    offsets: Tensor  # (B + 1,)
    cells: Tensor  # (total,)
    visible: Tensor  # (B, longest)

    def spread(self, packed: Tensor, gap: int) -> Tensor:
        """Turn (total, C) into (total + B * gap, C), with `gap` rows of zeros after each utterance.

        A convolution that reaches at most `gap` frames then never sees another utterance.
        """
        spread = packed.new_zeros(len(packed) + gap * len(self.visible), packed.shape[-1])
        return spread.index_copy(0, self.slots, packed)

    def gather(self, spread: Tensor) -> Tensor:
        """Reverse `spread`."""
        return spread.index_select(0, self.slots)

    def pad(self, packed: Tensor) -> Tensor:
        """Turn (total, C) into (B, longest, C), zero past each utterance's end."""
        flat = packed.new_zeros(self.visible.numel(), packed.shape[-1])
        return flat.index_copy(0, self.cells, packed).view(*self.visible.shape, packed.shape[-1])

    def pack(self, padded: Tensor) -> Tensor:
        """Reverse `pad`."""
        return padded.reshape(-1, padded.shape[-1]).index_select(0, self.cells)


class Doubling:
    """Double the rate of states from 40 to 20 ms, by linear interpolation inside each utterance.

    A state stands for the middle of its 640 samples. The two states that replace it stand for the middles of the two
    halves, a quarter of the way to the neighbour on either side. Without a neighbour the state stays as it is.

    Args:
        packing: of the states to double.
        lengths: states wanted of each utterance, at most twice as many as it has.
    """

    def __init__(self, packing: Packing, lengths: list[int]):
        wanted = Packing(lengths, packing.device)
        starts, owners = packing.starts(), packing.owners()
        here = torch.arange(packing.total, device=packing.device)
        self.before = torch.maximum(here - 1, starts.index_select(0, owners))
        self.after = torch.minimum(here + 1, (starts + packing.counts - 1).index_select(0, owners))
        self.kept = wanted.place(2 * starts)
        self.unpack_wanted = wanted.unpack

    def unpack(self, packed: Tensor) -> Tensor:
        """Turn (total, C) into (B, longest wanted, C), zero past each utterance's end."""
        halves = torch.stack([packed.lerp(packed[self.before], 0.25), packed.lerp(packed[self.after], 0.25)], dim=1)
        return self.unpack_wanted(halves.reshape(-1, packed.shape[-1])[self.kept])
