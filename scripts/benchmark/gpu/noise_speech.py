"""Stage 2's task on segments of noise with random texts: the project's own but for reading and sub-words."""

from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy
import torch

from mmpt.midtrain import batches
from mmpt.midtrain.batches import Batch, Vocabularies
from mmpt.midtrain.segments import Segment, Split
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.midtrain.task import TrainingData, TranslationTask
from mmpt.training.distributed import World
from mmpt.training.run_folder import RunFolder
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

MEAN_S, DEVIATION_S = 6.3, 4.5  # about MuST-C's training segments, by a gamma distribution
TOKENS_A_SECOND = 4.0
SEED = 18


class Numbers:
    """A vocabulary whose sub-words are numbers, written in decimal."""

    def __init__(self, size: int):
        self.size = size

    def __len__(self) -> int:
        return self.size

    def encode(self, text: str) -> list[int]:
        """Return the numbers in a text."""
        return [int(word) for word in text.split()]


def speech_task(settings: MidtrainSettings, folder: Path) -> TranslationTask:
    """Return a task whose segments have about MuST-C's lengths, enough for several batches."""
    generator = numpy.random.default_rng(SEED)
    frames = 0
    segments: list[Segment] = []
    most_s = settings.data.max_frames / 100
    while frames < 5 * settings.data.batch_frames:
        shape, scale = (MEAN_S / DEVIATION_S) ** 2, DEVIATION_S**2 / MEAN_S
        length_s = min(max(1.0, generator.gamma(shape, scale)), most_s)
        numbers = generator.integers(4, settings.data.vocabulary_size, max(1, round(length_s * TOKENS_A_SECOND)))
        text = " ".join(map(str, numbers))
        segments.append(Segment(f"s{len(segments)}", folder / "none", 0, round(length_s * SAMPLE_RATE), "", text))
        frames += segments[-1].frames
    torch.manual_seed(settings.seed)
    encoder = Encoder(EncoderConfig.preset(settings.preset))
    corpus = TrainingData("noise", Split("train", segments, {}), Split("dev", segments[:4], {}))
    vocabularies = Vocabularies(Numbers(settings.data.vocabulary_size))  # type: ignore[arg-type]  # is like one
    return TranslationTask(settings, corpus, vocabularies, encoder, None, RunFolder(folder / "run"), World())


def speech_batches(task: TranslationTask, number: int) -> list[Batch]:
    """Return an epoch's first batches of full size, in pinned memory if a GPU is available."""
    enough = 0.9 * task.settings.data.batch_frames  # what an epoch leaves over makes a smaller batch
    with patch.object(batches, "read_wav", lambda segment: 0.1 * torch.randn(segment.samples)):
        return list(islice((batch for batch in task.batches(0, 0) if batch.frames >= enough), number))
