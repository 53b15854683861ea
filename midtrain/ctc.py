"""CTC on the transcript (Graves et al. 2006), beside the translation: tells the encoder what was said where. The paper has none."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.midtrain.vocabulary import PAD
from mmpt.training.settings import require
from mmpt.upstream.mmpt_av.packing import Packing

BLANK = PAD  # no transcript holds it


@dataclass(frozen=True)
class CtcSettings:
    """weight: of CTC, added to the translation's loss; 0: none. vocabulary_size: sub-words of the transcripts, at most."""

    weight: float = 0.0
    vocabulary_size: int = 1000

    def __post_init__(self):
        require(0 <= self.weight < 1e3, f"ctc.weight must not be negative, and finite, got {self.weight:g}")
        require(self.vocabulary_size >= 1, "ctc.vocabulary_size must be at least 1")


class CtcHead(nn.Linear):
    """Encoder states (..., C) to logits (..., vocabulary) of the transcript's sub-words and the blank."""


def ctc_loss(logits: Tensor, packing: Packing, transcripts: Tensor, lengths: Tensor) -> Tensor:
    """Negative log-likelihood of the transcripts, in nats, summed over a batch. Those that need more states than there are
    count nothing.

    Args:
        logits: (total states, vocabulary), packed. transcripts: (total sub-words,), one after another, of `lengths` (B,).
    """
    log_probs = packing.unpack(logits.float().log_softmax(-1)).transpose(0, 1)
    states = torch.tensor(packing.lengths, device=lengths.device)
    return F.ctc_loss(log_probs, transcripts, states, lengths, blank=BLANK, reduction="sum", zero_infinity=True)


def read_off(logits: Tensor, packing: Packing) -> list[list[int]]:
    """The likeliest sub-word of each state, repetitions and blanks left out: what each utterance says."""
    best = logits.argmax(-1).split(packing.lengths)
    return [[token for token in one.unique_consecutive().tolist() if token != BLANK] for one in best]


def spoken(transcript: str) -> str:
    """A transcript as CTC learns it: lower case, without punctuation and what nobody said, such as (Applause)."""
    without_events = re.sub(r"\([^)]*\)|\[[^]]*\]", " ", transcript.lower()).replace("’", "'")
    return " ".join(re.sub(r"[^\w']|_", " ", without_events).split())


def states_needed(tokens: list[int]) -> int:
    """States that CTC needs for a transcript: one a sub-word, and a blank between equal ones."""
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:]))
