"""Give the first hidden state of an encoder the size of the others, without changing these.

Training may let the input of the blocks grow a thousandfold, since every layer norm behind it undoes its size. Heads
that weigh all states, as SUPERB's do, then hear nothing else until they have learnt a tiny weight for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .encoder import Encoder

# Layers that give the first state, and what the first block adds to it.
SIZE = ("linear.", *(f"blocks.0.{part}." for part in ("ffn1.4", "attention.out", "convolution.project", "ffn2.4")))


def balance(encoder: Encoder, batches: Iterable[list[Tensor]]) -> float:
    """Scale the first state to the mean size (root mean square) of the others; return the factor.

    Args:
        encoder: on the CPU.
        batches: of waveforms as of `Encoder.forward`, over which the sizes are measured.

    Raises:
        ValueError: there is no batch, or the first state is zero everywhere.
    """
    squares = torch.zeros(len(encoder.blocks) + 1, dtype=torch.float64)
    was_training = encoder.training
    encoder.eval()
    with torch.no_grad():
        for wavs in batches:
            out = encoder(wavs)  # states past an item's end are zero
            squares += torch.stack([state.double().square().sum() for state in out.hidden_states])
    encoder.train(was_training)
    sizes = squares.sqrt()
    if not sizes[0] > 0:
        raise ValueError("the first state has no size: no waveforms, or zero everywhere")
    factor = (sizes[1:].mean() / sizes[0]).item()
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
