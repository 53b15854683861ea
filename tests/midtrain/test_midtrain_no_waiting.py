"""A whole step of stage 2 on a fake GPU, forward and backward: it runs, and the processor does not wait."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmpt.midtrain.batches import Batch, BatchDataset, Vocabularies
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.segments import Segment
from mmpt.midtrain.settings import CtcSettings, DecoderSettings, MidtrainSettings
from mmpt.midtrain.task import TranslationTask
from mmpt.training.distributed import Counts
from mmpt.training.half_weights import HalfWeights
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

from helpers.no_waiting import NoWaiting, backward, fake_gpu, to_fake_gpu

CONFIG = EncoderConfig(conv_channels=16, d_model=16, n_layers=2, n_heads=2, ffn_dim=32, depthwise_kernel=3, dropout=0.1)
DENSE, RAGGED = [16000] * 3, [16000, 640, 9001]  # samples of segments
VOCABULARY = 20


class Letters:
    """A vocabulary whose sub-words are letters."""

    def encode(self, text: str) -> list[int]:
        return [4 + ord(letter) % (VOCABULARY - 4) for letter in text]


def noise_batch(task: TranslationTask, samples: list[int]) -> Batch:
    """Return a batch as a worker makes it; its texts are as long as the number of their segment."""
    texts = ["e" * (n if samples is RAGGED else 2) for n in range(len(samples))]
    segments = [
        Segment(f"ted_{n}", Path("none"), 0, length, text, text) for n, (length, text) in enumerate(zip(samples, texts))
    ]
    source = Letters() if task.settings.ctc.weight else None
    dataset = BatchDataset([segments], Vocabularies(Letters(), source), task.specaugment(0))
    return dataset.collate([(segment, torch.randn(segment.samples)) for segment in segments], [])


def task_of(settings: MidtrainSettings) -> TranslationTask:
    """Return the task of a run as far as a step needs it: without data."""
    task = object.__new__(TranslationTask)
    task.settings, task.device = settings, torch.device("cuda")
    transcript_size = VOCABULARY if settings.ctc.weight else 0
    task.model = TranslationModel(Encoder(CONFIG), VOCABULARY, settings.decoder, transcript_size).train()
    task.encoder = task.model.encoder
    return task


class FakeCtc(TorchDispatchMode):
    """CTC of fake tensors, which PyTorch lacks: the size of its result depends on values, it thinks."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is torch.ops.aten._ctc_loss.default:
            log_probs, _, _, lengths = args[:4]
            steps, batch, _ = log_probs.shape
            return log_probs.new_empty(batch), log_probs.new_empty(batch, steps, 2 * max(lengths) + 1)
        if func is torch.ops.aten._ctc_loss_backward.default:
            return torch.empty_like(args[1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("samples", [DENSE, RAGGED], ids=["dense", "ragged"])
@pytest.mark.parametrize("ctc", [0.0, 0.5], ids=["without CTC", "with CTC"])
def test_a_step_does_not_wait(ctc, samples, bfloat16):
    decoder = DecoderSettings(n_layers=2, n_heads=2, ffn_dim=32)
    task = task_of(MidtrainSettings(target_lang="it", decoder=decoder, ctc=CtcSettings(weight=ctc)))
    batch = noise_batch(task, samples)
    with fake_gpu(bfloat16) as mode:
        task.model = to_fake_gpu(task.model, mode).train()
        task.encoder = task.model.encoder
        batch = to_fake_gpu(batch, mode)
        tables = [batch.layout.tables, batch.texts.tables]
        made = [[*one._tables] for one in tables]
        halves = HalfWeights(task.model, torch.bfloat16 if bfloat16 else None)
        with FakeCtc(), NoWaiting(), halves.used():
            losses = task.loss(task.model, batch, Counts([task.counts(batch)]))
            backward(losses["loss"])
    assert [[*one._tables] for one in tables] == made  # these are made with the batch
    assert losses["loss"].dtype == torch.float32 and ("ctc" in losses) == (ctc > 0)
    for name, weight in task.model.named_parameters():
        assert weight.grad is not None and weight.grad.dtype == torch.float32, name
        assert weight.grad.shape == weight.shape and weight.grad.device.type == "cuda", name
