"""Batches of segments of like length, counted in frames, in the same order each time they are asked for."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmpt.midtrain.must_c import Segment, read_wav
from mmpt.midtrain.specaugment import item_generator
from mmpt.midtrain.vocabulary import BOS, EOS, PAD, Vocabulary

JITTER = 0.1  # lengths are compared within this share, so that an epoch's batches are not those of the last


@dataclass
class Batch:
    """segments; wavs: list of (samples,); inputs: (B, L) BOS then the text; outputs: (B, L) the text then EOS, PAD after it.

    epoch is None in validation, where nothing is drawn at random.
    """

    segments: list[Segment]
    wavs: list[Tensor]
    inputs: Tensor
    outputs: Tensor
    epoch: int | None

    @property
    def frames(self) -> int:
        """Frames of speech."""
        return sum(segment.frames for segment in self.segments)


class BatchDataset(Dataset):
    """Whole batches as items, so that worker processes read them ahead."""

    def __init__(self, batches: list[list[Segment]], vocabulary: Vocabulary, epoch: int | None):
        self.batches = batches
        self.vocabulary = vocabulary
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        segments = self.batches[index]
        tokens = [self.vocabulary.encode(segment.target) for segment in segments]
        wavs = [read_wav(segment) for segment in segments]
        return Batch(segments, wavs, pad([[BOS, *t] for t in tokens]), pad([[*t, EOS] for t in tokens]), self.epoch)


def pad(rows: list[list[int]]) -> Tensor:
    """Rows of unequal length to (B, longest), PAD on the right."""
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def load(batches: list[list[Segment]], vocabulary: Vocabulary, epoch: int | None, workers: int) -> Iterator[Batch]:
    """The batches, read from disk in order."""
    dataset = BatchDataset(batches, vocabulary, epoch)
    # A generator of its own: an iterator draws a number when it is made, which would shift dropout after a resume.
    return iter(DataLoader(dataset, batch_size=None, num_workers=workers, generator=torch.Generator()))


def training_batches(segments: list[Segment], batch_frames: int, seed: int, epoch: int) -> list[list[Segment]]:
    """An epoch: nearly sorted by length, cut, and the batches shuffled, all by seed and epoch."""
    generator = item_generator(seed, epoch)
    noise = torch.rand(len(segments), generator=generator, dtype=torch.float64)
    lengths = torch.tensor([segment.frames for segment in segments]) * (1 + JITTER * noise)
    batches = cut([segments[i] for i in lengths.argsort(stable=True).tolist()], batch_frames)
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def ordered_batches(segments: list[Segment], batch_frames: int) -> list[list[Segment]]:
    """Batches for validation: by length, the same always."""
    return cut(sorted(segments, key=lambda s: (s.frames, s.id)), batch_frames)


def cut(segments: list[Segment], batch_frames: int) -> list[list[Segment]]:
    """Cuts a list into batches of at most `batch_frames` frames together, or of one segment that is longer. Frames are
    summed, not multiplied: the encoder computes on no padding."""
    batches, frames = [], batch_frames
    for segment in segments:
        if frames + segment.frames > batch_frames:
            batches.append([])
            frames = 0
        batches[-1].append(segment)
        frames += segment.frames
    return batches
