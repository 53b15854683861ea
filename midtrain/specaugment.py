"""SpecAugment (Park et al. 2019): sets bands and stretches of normalised features to zero, which is their mean.

What is hidden is drawn with the batch, by the process that reads it: a GPU gets it as two small masks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpt.midtrain.settings import SpecAugmentSettings
from mmpt.training.draws import named_generator
from mmpt.upstream.mmpt_av.packing import Packing


@dataclass
class Hidden:
    """What is hidden of a batch, True where it is."""

    bins: Tensor  # (B, n_mels), in all frames of an utterance
    frames: Tensor  # (frames,) of all utterances, packed

    def map(self, change: Callable[[Tensor], Tensor]) -> "Hidden":
        """Return the same with `change` applied to each mask."""
        return Hidden(change(self.bins), change(self.frames))

    def pin_memory(self) -> "Hidden":
        """Return it in pinned memory."""
        return self.map(Tensor.pin_memory)

    def to(self, device: torch.device) -> "Hidden":
        """Return it on a device; what is pinned is copied in the background."""
        return self.map(lambda mask: mask.to(device, non_blocking=True))

    def hide(self, feats: Tensor, frames: Packing) -> Tensor:
        """Return packed normalised features (frames.total, n_mels) with these parts set to zero."""
        return feats.masked_fill(self.bins.index_select(0, frames.owners()) | self.frames[:, None], 0.0)


@dataclass(frozen=True)
class SpecAugment:
    """Draw what is hidden in an epoch: of a segment always the same, whatever batch it is in."""

    settings: SpecAugmentSettings
    n_mels: int
    seed: int
    epoch: int

    def draw(self, names: list[str], frames: list[int]) -> Hidden:
        """Draw for utterances of these names and numbers of frames.

        A mask's width is drawn from 0 to one below the widest, then its place, evenly over all places where it fits.
        """
        settings = self.settings
        hidden = Hidden(
            torch.zeros(len(names), self.n_mels, dtype=torch.bool), torch.zeros(sum(frames), dtype=torch.bool)
        )
        for name, bins, stretch in zip(names, hidden.bins, hidden.frames.split(frames)):
            generator = named_generator(self.seed, self.epoch, name)
            widest = min(settings.time_width, int(len(stretch) * settings.time_share))
            for _ in range(settings.freq_masks):
                bins[draw_part(self.n_mels, min(settings.freq_width, self.n_mels), generator)] = True
            for _ in range(settings.time_masks):
                stretch[draw_part(len(stretch), widest, generator)] = True
        return hidden


def draw_part(length: int, widest: int, generator: torch.Generator) -> slice:
    """Draw a part of `length` places that is less than `widest` wide."""
    width = int(torch.randint(max(widest, 1), (), generator=generator))
    start = int(torch.randint(length - width + 1, (), generator=generator))
    return slice(start, start + width)
