"""Speed perturbation (Ko et al. 2015, Audio augmentation for speech recognition): speech a little faster or slower.

Tempo and pitch change together, as if another speaker spoke. An epoch draws one speed for each segment.
"""

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from mmpt.training.draws import named_generator


@dataclass(frozen=True)
class Speeds:
    """Draw the speeds of an epoch: of a segment always the same, whatever batch it is in.

    Args:
        speeds: those that are drawn from, each as likely; 1.1 is a tenth faster.
        seed, epoch: of the draw.
    """

    speeds: tuple[float, ...]
    seed: int
    epoch: int

    def change(self, wav: Tensor, name: str) -> Tensor:
        """Return the waveform (samples,) of the segment of this name at its speed: (about samples / speed,)."""
        from scipy.signal import resample_poly  # takes a second to import

        generator = named_generator(self.seed, self.epoch, name, "speed")
        speed = self.speeds[int(torch.randint(len(self.speeds), (), generator=generator))]
        if speed == 1 or not len(wav):
            return wav
        ratio = Fraction(speed).limit_denominator(100)
        changed = resample_poly(wav.numpy(), ratio.denominator, ratio.numerator)
        return torch.from_numpy(changed).to(wav.dtype)
