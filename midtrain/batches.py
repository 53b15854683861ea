"""Batches of segments of similar length, limited by their frames, in an order that seed and epoch determine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmpt.midtrain.ctc import spoken
from mmpt.midtrain.segments import Segment, read_wav
from mmpt.midtrain.specaugment import Hidden, SpecAugment
from mmpt.midtrain.speeds import Speeds
from mmpt.midtrain.vocabulary import BOS, EOS, PAD, Vocabulary
from mmpt.training.draws import named_generator
from mmpt.training.stop_signal import leave_signals_to_parent
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.layout import Layout
from mmpt.upstream.mmpt_av.packing import Packing

JITTER = 0.1  # lengths are sorted after a random change of up to this share, so that each epoch has other batches
STAND_INS = 10  # batches to try in place of a batch of which nothing can be read


@dataclass
class Batch:
    """B segments with their waveforms and texts."""

    segments: list[Segment]
    joined: Tensor  # all waveforms as one (see Layout.join)
    layout: Layout  # where each waveform lies in it
    inputs: Tensor  # (B, L) BOS, then the translation; PAD after it
    outputs: Tensor  # (tokens,) the translations, each with EOS after it, packed
    texts: Packing  # of the translations with EOS
    transcripts: Tensor  # (total,) sub-words of the transcripts, one after another; empty without CTC
    transcript_lengths: list[int]
    hidden: Hidden | None  # by SpecAugment; None in validation, where nothing is drawn at random
    unreadable: list[tuple[str, str]]  # id and reason of segments that were left out

    @property
    def frames(self) -> int:
        """Number of frames of speech."""
        return sum(segment.frames for segment in self.segments)

    @property
    def padded_frames(self) -> int:
        """Number of frames that a model with padding would compute."""
        return max(segment.frames for segment in self.segments) * len(self.segments)

    def map(self, change: Callable[[Any], Any]) -> "Batch":
        """Return the batch with `change` applied to everything that has tensors."""
        return replace(
            self,
            joined=change(self.joined),
            layout=change(self.layout),
            inputs=change(self.inputs),
            outputs=change(self.outputs),
            texts=change(self.texts),
            transcripts=change(self.transcripts),
            hidden=change(self.hidden) if self.hidden else None,
        )

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory, so that copies to a GPU need not be waited for. DataLoader calls it."""
        return self.map(lambda item: item.pin_memory())

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return self.map(
            lambda item: item.to(device, non_blocking=True) if isinstance(item, Tensor) else item.to(device)
        )


@dataclass(frozen=True)
class Vocabularies:
    """The vocabularies of a run."""

    target: Vocabulary  # of the translations
    source: Vocabulary | None = None  # of the transcripts, with CTC only


class BatchDataset(Dataset):
    """Whole batches as items, which worker processes read ahead.

    Args:
        batches: the segments of each batch.
        vocabularies: of the texts.
        specaugment: draws what is hidden of a batch; nothing is without it.
        speeds: changes the speed of segments.
    """

    def __init__(
        self,
        batches: list[list[Segment]],
        vocabularies: Vocabularies,
        specaugment: SpecAugment | None = None,
        speeds: Speeds | None = None,
    ):
        self.batches = batches
        self.vocabularies = vocabularies
        self.specaugment = specaugment
        self.speeds = speeds

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch without its unreadable segments.

        If all of them are unreadable, the next batch with a readable segment takes its place, because every process
        needs a batch for every update. After STAND_INS batches without one, the result has no segments.
        """
        unreadable: list[tuple[str, str]] = []
        readable: list[tuple[Segment, Tensor]] = []
        for number in range(min(STAND_INS, len(self.batches))):
            readable = [
                (segment, wav) if self.speeds is None else changed(segment, wav, self.speeds)
                for segment in self.batches[(index + number) % len(self.batches)]
                if (wav := wav_or_reason(segment, unreadable)) is not None
            ]
            if readable:
                break
        return self.collate(readable, unreadable)

    def collate(self, readable: list[tuple[Segment, Tensor]], unreadable: list[tuple[str, str]]) -> Batch:
        """Return the batch of segments and their waveforms."""
        segments, wavs = [segment for segment, _ in readable], [wav for _, wav in readable]
        layout, drawn = Layout([len(wav) for wav in wavs]).prepare(), self.specaugment
        if drawn:
            layout.frames.owners()  # which Hidden.hide asks for
        texts = [self.vocabularies.target.encode(segment.target) for segment in segments]
        source = self.vocabularies.source
        transcripts = [source.encode(spoken(segment.source)) if source else [] for segment in segments]
        return Batch(
            segments=segments,
            joined=layout.join(wavs) if wavs else torch.zeros(0),
            layout=layout,
            inputs=pad([[BOS, *text] for text in texts]),
            outputs=torch.tensor([token for text in texts for token in (*text, EOS)], dtype=torch.int64),
            texts=Packing([len(text) + 1 for text in texts]).prepare(),
            transcripts=torch.tensor(list(chain(*transcripts)), dtype=torch.int64),
            transcript_lengths=[len(text) for text in transcripts],
            hidden=drawn.draw([segment.id for segment in segments], layout.frames.lengths) if drawn else None,
            unreadable=unreadable,
        )


def wav_or_reason(segment: Segment, unreadable: list[tuple[str, str]]) -> Tensor | None:
    """Return the segment's waveform; if it is unreadable, None, and add its id and the reason to `unreadable`."""
    try:
        return read_wav(segment)
    except InputError as error:
        unreadable.append((segment.id, str(error)))
        return None


def changed(segment: Segment, wav: Tensor, speeds: Speeds) -> tuple[Segment, Tensor]:
    """Return a segment and its waveform at another speed."""
    wav = speeds.change(wav, segment.id)
    return replace(segment, samples=len(wav)), wav


def pad(rows: list[list[int]]) -> Tensor:
    """Return rows of unequal length as (B, longest), with PAD on the right."""
    longest = max(map(len, rows), default=0)
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def load_batches(dataset: BatchDataset, workers: int, skip: int = 0, pin: bool = False) -> Iterator[Batch]:
    """Read the batches from disk, in order, without the first `skip`; `pin` puts them into pinned memory."""
    # DataLoader draws a number for each iterator. From torch's own generator that would shift dropout after a resume.
    return iter(
        DataLoader(
            dataset,
            batch_size=None,
            sampler=range(skip, len(dataset)),
            num_workers=workers,
            pin_memory=pin,
            generator=torch.Generator(),
            worker_init_fn=leave_signals_to_parent,
        )
    )


def training_batches(segments: list[Segment], batch_frames: int, seed: int, epoch: int) -> list[list[Segment]]:
    """Return an epoch's batches: segments roughly sorted by length, cut into batches, and the batches shuffled."""
    generator = named_generator(seed, epoch)
    noise = torch.rand(len(segments), generator=generator, dtype=torch.float64)
    lengths = torch.tensor([segment.frames for segment in segments]) * (1 + JITTER * noise)
    batches = cut([segments[i] for i in lengths.argsort(stable=True).tolist()], batch_frames)
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def ordered_batches(segments: list[Segment], batch_frames: int) -> list[list[Segment]]:
    """Return batches for validation: sorted by length, always the same."""
    return cut(sorted(segments, key=lambda s: (s.frames, s.id)), batch_frames)


class HasFrames(Protocol):
    """Anything with a number of frames."""

    @property
    def frames(self) -> int:
        """Number of frames of speech."""


Item = TypeVar("Item", bound=HasFrames)


def cut(segments: list[Item], batch_frames: int) -> list[list[Item]]:
    """Cut a list into batches of at most `batch_frames` frames; a longer segment makes a batch alone.

    The frames of the segments are added up, since the encoder computes no padding.
    """
    batches: list[list[Item]] = []
    frames = batch_frames
    for segment in segments:
        if frames + segment.frames > batch_frames:
            batches.append([])
            frames = 0
        batches[-1].append(segment)
        frames += segment.frames
    return batches
