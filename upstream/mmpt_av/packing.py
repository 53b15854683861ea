"""Batches without padding: utterances one after another in one long sequence.

Layers that look at one frame at a time (linear layers, norms, batch statistics) see valid frames only, because there
are no others. Layers that look at neighbours (attention, convolution) ask this class where utterances end.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Packing:
    """The places of a batch's utterances in the packed sequence.

    Only the lengths are copied to a device. Every index is computed from them there, so that a GPU never waits.

    Args:
        lengths: frames of each utterance, all at least 1.
        device: of the index tensors.
        counts: the lengths as a tensor (B,) on the device, if it is there already.
    """

    def __init__(self, lengths: list[int], device: torch.device | str = "cpu", counts: Tensor | None = None):
        self.lengths = lengths
        self.total = sum(lengths)
        self.longest = max(lengths, default=0)
        self.dense = min(lengths, default=0) == self.longest  # no padding to save: reshaping is enough
        self.counts = send(torch.tensor(lengths, dtype=torch.int64), torch.device(device)) if counts is None else counts
        self._made: dict[str | int, Tensor] = {}  # the same for every block, so computed once

    @property
    def device(self) -> torch.device:
        """The device of the index tensors."""
        return self.counts.device

    def to(self, device: torch.device | str) -> "Packing":
        """Return the packing on a device; a pinned one is copied in the background."""
        return Packing(self.lengths, counts=self.counts.to(device, non_blocking=True))

    def pin_memory(self) -> "Packing":
        """Return the packing in pinned memory."""
        return Packing(self.lengths, counts=self.counts.pin_memory())

    def shrunk(self, factor: int) -> "Packing":
        """Return the packing of utterances with a `factor`-th of the frames, rounded up."""
        counts = (self.counts + (factor - 1)).div(factor, rounding_mode="floor")
        return Packing([-(-n // factor) for n in self.lengths], counts=counts)

    def starts(self) -> Tensor:
        """Return the position (B,) of each utterance's first frame."""
        if "starts" not in self._made:
            self._made["starts"] = self.counts.cumsum(0) - self.counts
        return self._made["starts"]

    def offsets(self) -> Tensor:
        """Return the starts of the utterances and the end of the last, (B + 1,) int32, as kernels of attention want."""
        if "offsets" not in self._made:
            ends = self.counts.cumsum(0, dtype=torch.int32)
            self._made["offsets"] = torch.nn.functional.pad(ends, (1, 0))
        return self._made["offsets"]

    def owners(self) -> Tensor:
        """Return the number (total,) of the utterance that each frame belongs to."""
        if "owners" not in self._made:
            # With the size given, a GPU need not report it.
            self._made["owners"] = torch.repeat_interleave(self.counts, output_size=self.total)
        return self._made["owners"]

    def place(self, starts: Tensor) -> Tensor:
        """Return the positions (total,) of the frames if utterance i begins at `starts[i]`."""
        shift = (starts - self.starts()).index_select(0, self.owners())
        return torch.arange(self.total, device=self.device) + shift

    def slots(self, gap: int) -> Tensor:
        """Return the positions (total,) of the frames if `gap` empty places follow each utterance."""
        if gap not in self._made:
            self._made[gap] = torch.arange(self.total, device=self.device) + gap * self.owners()
        return self._made[gap]

    def cells(self) -> Tensor:
        """Return the positions (total,) of the frames in a flattened (B * longest) padded batch."""
        if "cells" not in self._made:
            self._made["cells"] = self.place(self.longest * torch.arange(len(self.lengths), device=self.device))
        return self._made["cells"]

    def visible(self) -> Tensor:
        """Return a mask (B, longest), True on frames and False on the padding of a padded batch."""
        if "visible" not in self._made:
            self._made["visible"] = torch.arange(self.longest, device=self.device) < self.counts.unsqueeze(1)
        return self._made["visible"]

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
        owners = self.owners().to(torch.int32)
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


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor on a device. To a GPU it is copied from pinned memory, so that nothing waits."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
