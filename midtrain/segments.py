"""Segments: sentences of talks with their translations, and reading of their sound."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.layout import speech_frames

TRAIN = "train"


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence of a talk.

    Its sound is `samples` samples of the wav `audio` from sample `start` on. If `flac_bytes` is not 0, `audio` is a
    tar, and the sound is a FLAC file of `flac_bytes` bytes that begins at byte `start` of it.
    """

    id: str  # the talk and the segment's number in its split
    audio: Path
    start: int
    samples: int
    source: str  # transcript
    target: str  # translation
    speaker: str = ""
    flac_bytes: int = 0

    @property
    def frames(self) -> int:
        """Number of filterbank frames of speech, by which batches are limited."""
        return speech_frames(self.samples)


@dataclass(frozen=True)
class Split:
    """The segments of a split."""

    name: str
    segments: list[Segment]
    changes: dict[str, list[str]]  # ids of segments that were changed, dropped or are odd, by what it is

    @property
    def hours(self) -> float:
        return sum(s.samples for s in self.segments) / SAMPLE_RATE / 3600

    def describe(self) -> str:
        """Return one line with the split's size and changes."""
        changes = "".join(f"; {len(ids):,} {what}" for what, ids in self.changes.items())
        return f"{self.name}: {len(self.segments):,} segments, {self.hours:.2f} h{changes}"


def read_wav(segment: Segment) -> Tensor:
    """Read the segment's waveform (samples,) in [-1, 1], by seeking in its talk or by one read of its tar.

    Raises:
        InputError: the file is missing, damaged or shorter than the segment.
    """
    try:
        if segment.flac_bytes:
            wav, _ = soundfile.read(
                io.BytesIO(read_bytes(segment.audio, segment.start, segment.flac_bytes)), dtype="float32"
            )
        else:
            wav, _ = soundfile.read(str(segment.audio), frames=segment.samples, start=segment.start, dtype="float32")
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{segment.audio}: segment {segment.id} cannot be read: {error}") from None
    if len(wav) != segment.samples:
        raise InputError(
            f"{segment.audio}: segment {segment.id} has {len(wav)} samples, {segment.samples} were expected; "
            "is the file cut off?"
        )
    return torch.from_numpy(wav)


def read_bytes(file: Path, start: int, size: int) -> bytes:
    """Read a part of a file. Opening it each time costs microseconds, and no forked worker shares a handle."""
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(handle, size, start)
    finally:
        os.close(handle)
