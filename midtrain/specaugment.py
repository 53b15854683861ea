"""SpecAugment (Park et al. 2019): bands and stretches of normalised features set to zero, which is their mean."""

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpt.training.settings import require


@dataclass(frozen=True)
class SpecAugmentSettings:
    """How much is hidden. The defaults are policy LB without time warping, which fairseq's MuST-C recipe uses."""

    freq_masks: int = 1
    freq_width: int = 27  # F: widest band, in mel bins
    time_masks: int = 1
    time_width: int = 100  # T: longest stretch, in frames
    time_share: float = 1.0  # p: and at most this share of the utterance

    def __post_init__(self):
        require(
            min(self.freq_masks, self.freq_width, self.time_masks, self.time_width) >= 0,
            "specaugment's numbers must not be negative",
        )
        require(0 <= self.time_share <= 1, "specaugment.time_share must lie between 0 and 1")


def item_generator(*name: object) -> torch.Generator:
    """A random stream of its own for whatever the name says: the same draws on any worker and after a resume."""
    return torch.Generator().manual_seed(zlib.crc32("/".join(map(str, name)).encode()))


def augment(feats: Tensor, settings: SpecAugmentSettings, generator: torch.Generator) -> Tensor:
    """Hides parts of one utterance's normalised features (frames, n_mels); returns a new tensor.

    A mask's width is drawn from 0 to one below its largest, then its place, evenly over where it fits.
    """
    frames, n_mels = feats.shape
    feats = feats.clone()
    for _ in range(settings.freq_masks):
        start, end = draw(n_mels, min(settings.freq_width, n_mels), generator)
        feats[:, start:end] = 0
    for _ in range(settings.time_masks):
        start, end = draw(frames, min(settings.time_width, int(frames * settings.time_share)), generator)
        feats[start:end] = 0
    return feats


def draw(length: int, widest: int, generator: torch.Generator) -> tuple[int, int]:
    """Start and end of a mask in `length` places."""
    width = int(torch.randint(max(widest, 1), (), generator=generator))
    start = int(torch.randint(length - width + 1, (), generator=generator))
    return start, start + width
