"""Batches without padding: utterances one after another in one long sequence.

Layers that look at one frame at a time (linear layers, norms, batch statistics) see valid frames only, because there
are no others. Layers that look at neighbours (attention, convolution) ask this class where utterances end.
"""

from itertools import accumulate

import torch
from torch import Tensor


class Packing:
    """The places of a batch's utterances in the packed sequence.

    Args:
        lengths: frames of each utterance, all at least 1.
        device: of the index tensors.
    """

    def __init__(self, lengths: list[int], device: torch.device):
        self.lengths = lengths
        self.device = device
        self.total = sum(lengths)
        self.longest = max(lengths)
        self.dense = min(lengths) == self.longest  # no padding to save: reshaping is enough
        self._slots: dict[int, Tensor] = {}  # the same for every block, so computed once
        self._cells: Tensor | None = None

    def place(self, starts: list[int]) -> Tensor:
        """Return the positions (total,) of the frames if utterance i begins at `starts[i]`."""
        lengths = torch.tensor(self.lengths)
        shift = torch.tensor(starts) - (lengths.cumsum(0) - lengths)
        return (torch.arange(self.total) + shift.repeat_interleave(lengths)).to(self.device)

    def slots(self, gap: int) -> Tensor:
        """Return the positions (total,) of the frames if `gap` empty places follow each utterance."""
        if gap not in self._slots:
            self._slots[gap] = self.place([0, *accumulate(n + gap for n in self.lengths[:-1])])
        return self._slots[gap]

    def cells(self) -> Tensor:
        """Return the positions (total,) of the frames in a flattened (B * longest) padded batch."""
        if self._cells is None:
            self._cells = self.place([i * self.longest for i in range(len(self.lengths))])
        return self._cells

    def pack(self, padded: Tensor) -> Tensor:
        """Turn (B, longest, C) into (total, C)."""
        flat = padded.reshape(-1, padded.shape[-1])
        return flat if self.dense else flat[self.cells()]

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

    def spread(self, packed: Tensor, gap: int) -> Tensor:
        """Turn (total, C) into (total + B * gap, C), with `gap` rows of zeros after each utterance.

        A convolution that reaches at most `gap` frames then never sees another utterance.
        """
        spread = packed.new_zeros(self.total + gap * len(self.lengths), packed.shape[-1])
        return spread.index_copy(0, self.slots(gap), packed)

    def gather(self, spread: Tensor, gap: int) -> Tensor:
        """Reverse `spread`."""
        return spread[self.slots(gap)]


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
        counts = torch.tensor(packing.lengths)
        ends = counts.cumsum(0)
        first, last = (ends - counts).repeat_interleave(counts), (ends - 1).repeat_interleave(counts)
        here = torch.arange(packing.total)
        self.before = torch.maximum(here - 1, first).to(packing.device)
        self.after = torch.minimum(here + 1, last).to(packing.device)
        self.kept = wanted.place([2 * start for start in (ends - counts).tolist()])
        self.unpack_wanted = wanted.unpack

    def unpack(self, packed: Tensor) -> Tensor:
        """Turn (total, C) into (B, longest wanted, C), zero past each utterance's end."""
        halves = torch.stack([packed.lerp(packed[self.before], 0.25), packed.lerp(packed[self.after], 0.25)], dim=1)
        return self.unpack_wanted(halves.reshape(-1, packed.shape[-1])[self.kept])
