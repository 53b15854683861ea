"""SpecAugment (Park et al. 2019): sets bands and stretches of normalised features to zero, which is their mean."""

import torch
from torch import Tensor

from mmpt.midtrain.settings import SpecAugmentSettings


def augment(feats: Tensor, settings: SpecAugmentSettings, generator: torch.Generator) -> Tensor:
    """Return a copy of one utterance's normalised features (frames, n_mels) with parts hidden.

    A mask's width is drawn from 0 to one below the widest, then its place, evenly over all places where it fits.
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
    """Draw a mask's start and end within `length` places."""
    width = int(torch.randint(max(widest, 1), (), generator=generator))
    start = int(torch.randint(length - width + 1, (), generator=generator))
    return start, start + width
