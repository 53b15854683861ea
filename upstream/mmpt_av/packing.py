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

    They are given by index tensors, which depend on the lengths alone and are the same for every block: each is made
    when it is first asked for, and kept.

    Args:
        lengths: frames of each utterance, all at least 1.
        device: of the index tensors.
        tables: those of these lengths that are there already, perhaps with others; `device` is then not looked at.
        name: of this packing among those that share the tables.
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

    @property
    def counts(self) -> Tensor:
        """The lengths as a tensor (B,)."""
        return self.table("counts", lambda: send(torch.tensor(self.lengths, dtype=torch.int64), self.device))

    def starts(self) -> Tensor:
        """Return the position (B,) of each utterance's first frame."""
        return self.table("starts", lambda: self.counts.cumsum(0) - self.counts)

    def offsets(self) -> Tensor:
        """Return the starts of the utterances and the end of the last, (B + 1,) int32, as kernels of attention want."""
        return self.table("offsets", lambda: F.pad(self.counts.cumsum(0, dtype=torch.int32), (1, 0)))

    def repeat(self, values: Tensor) -> Tensor:
        """Return for each frame (total,) the value of its utterance, of values (B,)."""
        # With the size given, a GPU need not report it.
        return torch.repeat_interleave(values, self.counts, output_size=self.total)

    def numbers(self) -> Tensor:
        """Return the number (B,) of each utterance."""
        return torch.arange(len(self.lengths), device=self.device)

    def owners(self) -> Tensor:
        """Return the number (total,), int32, of the utterance that each frame belongs to."""
        return self.table("owners", lambda: self.repeat(self.numbers().to(torch.int32)))

    def place(self, starts: Tensor) -> Tensor:
        """Return the positions (total,) of the frames if utterance i begins at `starts[i]`."""
        return torch.arange(self.total, device=self.device) + self.repeat(starts - self.starts())

    def within(self) -> Tensor:
        """Return the position (total,) of each frame in its utterance."""
        return self.table("within", lambda: self.place(torch.zeros_like(self.counts)))

    def parted(self) -> Tensor:
        """Return the positions (total,) of the frames if an empty place follows each utterance."""
        return self.table("parted", lambda: self.place(self.starts() + self.numbers()))

    def spaced(self, factor: int) -> Tensor:
        """Return the positions (total,) of the frames if each utterance has `factor` places for each of its states.

        It has a `factor`-th as many states as frames, rounded up, and one more, which is empty.
        """
        return self.table(f"spaced {factor}", lambda: self._spaced(factor))

    def _spaced(self, factor: int) -> Tensor:
        return self.place(factor * (self.shrunk(factor).starts() + self.numbers()))

    def blank(self, factor: int) -> Tensor:
        """Return a mask of the places of `spaced`, True where no frame lies."""

        def make() -> Tensor:
            places = factor * (self.shrunk(factor).total + len(self.lengths))
            return torch.ones(places, dtype=torch.bool, device=self.device).index_fill(0, self._spaced(factor), False)

        return self.table(f"blank {factor}", make)

    def cells(self) -> Tensor:
        """Return the positions (total,) of the frames in a flattened (B * longest) padded batch."""
        return self.table("cells", lambda: self.place(self.longest * self.numbers()))

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

    def places(self) -> "Places":
        """Return what blocks must know of the packing."""
        return Places(self, self.owners(), self.offsets(), self.cells(), self.visible())


class Places(NamedTuple):
    """A packing as blocks take it. Compiled code looks at the tensors alone, and serves batches of any size."""

    packing: Packing  # compiled code must not look at it: it holds numbers
    owners: Tensor  # (total,) int32, see Packing.owners
    offsets: Tensor  # (B + 1,)
    cells: Tensor  # (total,)
    visible: Tensor  # (B, longest)

    def spread(self, packed: Tensor, gap: int) -> tuple[Tensor, Tensor]:
        """Turn (total, C) into (total + B * gap, C), with `gap` rows of zeros after each utterance.

        A convolution that reaches at most `gap` frames then never sees another utterance.

        Returns:
            The rows, and the places (total,) of the utterances' frames among them.
        """
        rows = torch.arange(len(packed), device=packed.device) + gap * self.owners
        spread = packed.new_zeros(len(packed) + gap * len(self.visible), packed.shape[-1])
        return spread.index_copy(0, rows, packed), rows

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
