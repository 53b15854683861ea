"""Give S3PRL's heads gradients whose time grows with the batch, and not with its square.

S3PRL pads the utterances of a batch into one tensor, and pools each one's row of it. PyTorch's gradient of either step
writes the whole batch again for every row: with 32 utterances, half of a head's time for keyword spotting or intents on
a CPU (scripts/benchmark/head_gradients.py). Here each row has a gradient of its own size. Values and gradients are the
same bits.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import rnn

torch_pad_sequence = rnn.pad_sequence


def install() -> None:
    """Change the names that S3PRL's heads use, in this process, in what is imported already and what will be.

    Serves s3prl/downstream/speech_commands/expert.py:101, fluent_commands/expert.py:103, ctc/expert.py:69,
    asr/expert.py:219, diarization/expert.py:241 and model.py:73.
    """
    from s3prl.downstream.model import MeanPooling

    vars(rnn)["pad_sequence"] = pad_sequence
    for name, module in list(sys.modules.items()):
        if name.startswith("s3prl.") and vars(module).get("pad_sequence") is torch_pad_sequence:
            vars(module)["pad_sequence"] = pad_sequence
    if not hasattr(MeanPooling.forward, "__wrapped__"):
        MeanPooling.forward = by_rows(MeanPooling.forward)


@functools.wraps(torch_pad_sequence)
def pad_sequence(
    sequences: Tensor | Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Pad as `torch.nn.utils.rnn.pad_sequence` does."""
    rows = list(sequences)
    if padding_side != "right" or not any(row.requires_grad for row in rows):
        return torch_pad_sequence(rows, batch_first, padding_value, padding_side)
    padded: Tensor = _PaddedRows.apply(padding_value, *rows)
    return padded if batch_first else padded.transpose(0, 1)


class _PaddedRows(torch.autograd.Function):
    """Rows (T, ...) of any length in one tensor (B, longest, ...); the gradient of each is its part of the tensor's."""

    @staticmethod
    def forward(ctx: Any, padding_value: float, *rows: Tensor) -> Tensor:
        ctx.lengths = [len(row) for row in rows]
        return torch_pad_sequence(list(rows), True, padding_value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (whole,) = gradients
        return None, *(row[:length] for row, length in zip(whole, ctx.lengths, strict=True))


def by_rows(forward: Any) -> Any:
    """Wrap the `forward` of a pooling, which takes `features[i]` of each utterance: give it the rows in a tuple."""

    @functools.wraps(forward)
    def wrapped(self: Any, features: Tensor, *args: Any, **kwargs: Any) -> Any:
        return forward(self, features.unbind(), *args, **kwargs)

    return wrapped
