"""The memory that an update of stage 2 takes on a GPU."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmpt.midtrain.batches import Vocabularies, training_batches
from mmpt.midtrain.model import TranslationModel, smoothed_loss
from mmpt.midtrain.segments import Segment
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.training.device import uses_bfloat16
from mmpt.training.memory_estimate import Memory, count_memory
from mmpt.training.memory_report import print_memory
from mmpt.upstream.mmpt_av.layout import Layout
from mmpt.upstream.mmpt_av.packing import Packing


class Sizes(NamedTuple):
    """The size of a segment."""

    samples: int
    tokens: int  # of the translation, with EOS


class Inputs(NamedTuple):
    """What the loss needs of a batch."""

    feats: Tensor
    frames: Packing
    tokens: Tensor
    texts: Packing
    outputs: Tensor


def report_memory(
    model: TranslationModel,
    settings: MidtrainSettings,
    segments: list[Segment],
    vocabularies: Vocabularies,
    processes: int,
) -> None:
    """Print the memory of an update before a run begins: of the batch with most text, padded (see print_memory)."""
    device = next(model.parameters()).device
    frames = settings.data.batch_frames // processes

    def count(parts: int) -> Memory:
        batches = training_batches(segments, max(1, frames // parts), settings.seed, 0)
        batch = max(batches, key=lambda batch: len(batch) * max(len(segment.target) for segment in batch))
        sizes = [Sizes(one.samples, len(vocabularies.target.encode(one.target)) + 1) for one in batch]
        return memory_of_segments(model, settings, sizes, uses_bfloat16(settings, device))

    choices = [settings.optim.accumulate * 2**power for power in range(8)]
    print_memory(count, choices, settings.optim, device)


def memory_of_segments(
    model: TranslationModel, settings: MidtrainSettings, segments: list[Sizes], bfloat16: bool
) -> Memory:
    """Return the memory of a micro-batch of segments.

    The model is left as it is; it may lie on any device.
    """

    def inputs() -> Inputs:
        layout = Layout([segment.samples for segment in segments]).prepare().to("cuda")
        texts = Packing([segment.tokens for segment in segments]).prepare().to("cuda")
        return Inputs(
            torch.empty(layout.frames.total, model.encoder.config.n_mels, device="cuda"),
            layout.frames,
            whole_numbers(len(segments), texts.longest),
            texts,
            whole_numbers(texts.total),
        )

    def loss(call: Any, batch: Inputs) -> Tensor:
        predictions = call(batch.feats, batch.frames, batch.tokens, batch.texts)
        total, _ = smoothed_loss(predictions.logits, batch.outputs, settings.label_smoothing)
        if predictions.ctc is not None:
            # PyTorch does not know the loss of fake tensors; it keeps little besides what is made for it here.
            total = total + predictions.packing.unpack(predictions.ctc.float().log_softmax(-1)).sum()
        return total

    blocks = [*model.encoder.blocks, *model.decoder.layers]
    return count_memory(model, blocks, bfloat16, inputs, loss)


def whole_numbers(*shape: int) -> Tensor:
    """Return a tensor of whole numbers on the GPU."""
    return torch.empty(shape, dtype=torch.int64, device="cuda")
