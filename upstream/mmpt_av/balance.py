"""Give the first hidden state of an encoder the size of the others, without changing these.

Training lets the input of the blocks grow tenfold to a thousandfold, since every layer norm behind it undoes its size.
Heads that weigh all states, as SUPERB's do, then hear little else until they have learnt a tiny weight for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .config import SAMPLE_RATE

if TYPE_CHECKING:
    from .encoder import Encoder

# Layers that give the first state, and what the first block adds to it.
SIZE = ("linear.", *(f"blocks.0.{part}." for part in ("ffn1.4", "attention.out", "convolution.project", "ffn2.4")))


def balance(encoder: Encoder) -> float:
    """Scale the first state to about the mean size (root mean square) of the others; return the factor.

    The factor is a power of two, so that no weight is rounded. It is 1 if the first state is at most twice or half as
    large. The sizes are those on noise; on speech they are about the same.

    Args:
        encoder: on the CPU.
    """
    was_training = encoder.training
    encoder.eval()
    with torch.no_grad():
        sizes = [state.square().mean().sqrt().item() for state in encoder([speech_like_noise()]).hidden_states]
    encoder.train(was_training)
    others = sum(sizes[1:]) / max(1, len(sizes) - 1)
    if not (0 < sizes[0] < math.inf and 0 < others < math.inf):
        return 1.0  # nothing can be said of an encoder without blocks, or whose states are zero or not finite
    power = math.log2(others / sizes[0])
    factor = 2.0 ** round(power) if abs(power) > 1 else 1.0
    scale_first_state(encoder, factor)
    return factor


def scale_first_state(encoder: Encoder, factor: float) -> None:
    """Multiply the first state by a factor. The others stay the same but for the epsilon of the layer norms (1e-5).

    The first block adds to its input four times, and only layer norms read the sums: if all that it adds is multiplied
    by the factor, too, the norms undo it.
    """
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.startswith(SIZE):
                parameter.mul_(factor)


def speech_like_noise(seconds: int = 5) -> Tensor:
    """Return noise that falls with frequency as speech does, and swells and fades like four syllables a second."""
    samples = seconds * SAMPLE_RATE
    white = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    falling = torch.fft.rfft(white) / torch.arange(samples // 2 + 1).clamp(min=20)
    noise = torch.fft.irfft(falling, samples)
    syllables = torch.cos(2 * math.pi * 4 * torch.arange(samples) / SAMPLE_RATE)
    decibels = -30 * (1 + syllables)
    loudness = torch.pow(10.0, decibels / 20)
    scaled: Tensor = 0.1 * noise / noise.std() * loudness
    return scaled
