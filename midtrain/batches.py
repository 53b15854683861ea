"""Batches of segments of like length, counted in frames, in the same order each time they are asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmpt.midtrain.ctc import spoken
from mmpt.midtrain.segments import Segment, read_wav
from mmpt.midtrain.specaugment import item_generator
from mmpt.midtrain.vocabulary import BOS, EOS, PAD, Vocabulary
from mmpt.training.stop_signal import leave_signals_to_parent
from mmpt.upstream.errors import InputError

JITTER = 0.1  # lengths are compared within this share, so that an epoch's batches are not those of the last
STAND_INS = 10  # batches that are tried in place of one of which nothing can be read


@dataclass
class Batch:
    """segments; wavs: list of (samples,); inputs: (B, L) BOS then the text; outputs: (B, L) the text then EOS, PAD after it.

    transcripts: (total,) sub-words of what is said, one utterance after another, of transcript_lengths (B,); for CTC only.
    epoch is None in validation, where nothing is drawn at random. unreadable: (id, reason) of segments that are left out.
    """

    segments: list[Segment]
    wavs: list[Tensor]
    inputs: Tensor
    outputs: Tensor
    transcripts: Tensor
    transcript_lengths: Tensor
    epoch: int | None
    unreadable: list[tuple[str, str]]

    @property
    def frames(self) -> int:
        """Frames of speech."""
        return sum(segment.frames for segment in self.segments)

    @property
    def padded_frames(self) -> int:
        """Frames that a model which pads would compute on."""
        return max(segment.frames for segment in self.segments) * len(self.segments)

    def map(self, change) -> "Batch":
        """The same with `change` applied to each tensor."""
        tensors = {
            name: change(getattr(self, name)) for name in ("inputs", "outputs", "transcripts", "transcript_lengths")
        }
        return replace(self, wavs=[change(wav) for wav in self.wavs], **tensors)

    def pin_memory(self) -> "Batch":
        """Has the DataLoader put it where a GPU can copy it from on its own."""
        return self.map(Tensor.pin_memory)

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))


@dataclass(frozen=True)
class Vocabularies:
    """Of the translations, and for CTC of the transcripts."""

    target: Vocabulary
    source: Vocabulary | None = None


class BatchDataset(Dataset):
    """Whole batches as items, so that worker processes read them ahead."""

    def __init__(self, batches: list[list[Segment]], vocabularies: Vocabularies, epoch: int | None):
        self.batches = batches
        self.vocabularies = vocabularies
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        """The batch; where nothing of it can be read, the next one of which something can: all GPUs must go on together.

        One without segments is left over when STAND_INS of them cannot be read.
        """
        unreadable: list[tuple[str, str]] = []
        for number in range(min(STAND_INS, len(self.batches))):
            read = [
                (segment, wav)
                for segment in self.batches[(index + number) % len(self.batches)]
                if (wav := wav_or_reason(segment, unreadable)) is not None
            ]
            if read:
                break
        return self.collate(read, unreadable)

    def collate(self, read: list[tuple[Segment, Tensor]], unreadable: list[tuple[str, str]]) -> Batch:
        """A batch of segments and their waveforms."""
        tokens = [self.vocabularies.target.encode(segment.target) for segment, _ in read]
        source = self.vocabularies.source
        transcripts = [source.encode(spoken(segment.source)) if source else [] for segment, _ in read]
        return Batch(
            [segment for segment, _ in read],
            [wav for _, wav in read],
            pad([[BOS, *t] for t in tokens]),
            pad([[*t, EOS] for t in tokens]),
            torch.tensor(list(chain(*transcripts)), dtype=torch.int64),
            torch.tensor([len(t) for t in transcripts]),
            self.epoch,
            unreadable,
        )


def wav_or_reason(segment: Segment, unreadable: list[tuple[str, str]]) -> Tensor | None:
    """The waveform; None where it cannot be read, and the reason among the `unreadable`."""
    try:
        return read_wav(segment)
    except InputError as error:
        unreadable.append((segment.id, str(error)))
        return None


def pad(rows: list[list[int]]) -> Tensor:
    """Rows of unequal length to (B, longest), PAD on the right."""
    longest = max(map(len, rows), default=0)
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def load(
    batches: list[list[Segment]],
    vocabularies: Vocabularies,
    epoch: int | None,
    workers: int,
    skip: int = 0,
    pin: bool = False,
) -> Iterator[Batch]:
    """The batches without the first `skip`, read from disk in order."""
    dataset = BatchDataset(batches, vocabularies, epoch)
    # A generator of its own: an iterator draws a number when it is made, which would shift dropout after a resume.
    return iter(
        DataLoader(
            dataset,
            batch_size=None,
            sampler=range(skip, len(batches)),
            num_workers=workers,
            pin_memory=pin,
            generator=torch.Generator(),
            worker_init_fn=leave_signals_to_parent,
        )
    )


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
    summed, not multiplied: the encoder computes on no padding.
    """
    batches, frames = [], batch_frames
    for segment in segments:
        if frames + segment.frames > batch_frames:
            batches.append([])
            frames = 0
        batches[-1].append(segment)
        frames += segment.frames
    return batches
