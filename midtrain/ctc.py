"""CTC on the transcripts (Graves et al. 2006), which teaches the encoder what was said where.

It is a second loss beside translation. The paper does not use it.
"""

import re

import torch
from torch import Tensor

from mmpt.midtrain.vocabulary import PAD
from mmpt.upstream.mmpt_av.linear import Linear
from mmpt.upstream.mmpt_av.packing import Packing

BLANK = PAD  # no transcript holds it


class CtcHead(Linear):
    """Encoder states (..., C) to logits (..., vocabulary) of the transcript's sub-words and the blank."""


def ctc_loss(logits: Tensor, packing: Packing, transcripts: Tensor, lengths: list[int]) -> Tensor:
    """Return the negative log-likelihood of the transcripts, in nats, summed over a batch.

    A transcript that needs more states than its utterance has adds nothing.

    This is the kernel under `F.ctc_loss`, which first copies the transcripts from a GPU to find out whether another
    library could compute it. The kernel itself waits only for copies of the lengths.

    Args:
        logits: (total states, vocabulary), packed.
        packing: how the utterances' states are packed.
        transcripts: (total sub-words,), one transcript after another.
        lengths: sub-words of each transcript.
    """
    log_probs = packing.unpack(logits.float().log_softmax(-1)).transpose(0, 1)
    losses, _ = torch._ctc_loss(log_probs, transcripts, packing.lengths, lengths, BLANK, zero_infinity=True)
    return losses.masked_fill(losses == torch.inf, 0.0).sum()


def read_transcripts(logits: Tensor, packing: Packing) -> list[list[int]]:
    """Return each utterance's transcript: the likeliest sub-word of each state, without repetitions and blanks."""
    best = logits.argmax(-1).split(packing.lengths)
    return [[token for token in one.unique_consecutive().tolist() if token != BLANK] for one in best]


def spoken(transcript: str) -> str:
    """Return a transcript as CTC learns it: lower case, without punctuation and without events such as (Applause)."""
    without_events = re.sub(r"\([^)]*\)|\[[^]]*\]", " ", transcript.lower()).replace("’", "'")
    return " ".join(re.sub(r"[^\w']|_", " ", without_events).split())


def states_needed(tokens: list[int]) -> int:
    """Return how many states CTC needs for a transcript: one per sub-word, and a blank between equal neighbours."""
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:]))
