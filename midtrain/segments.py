"""Segments: sentences of talks with their translations, and how their sound is read."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.filterbank import speech_frames

TRAIN = "train"


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence: `samples` samples of a talk's wav from `start` on, its transcript and its translation.

    Where `flac_bytes` is not 0, `audio` is a tar, and the sound a FLAC file of so many bytes at its byte `start`.
    """

    id: str  # the talk and the segment's number in its split
    audio: Path
    start: int
    samples: int
    source: str
    target: str
    speaker: str = ""
    flac_bytes: int = 0

    @property
    def frames(self) -> int:
        """Filterbank frames of speech, what batches are counted in."""
        return speech_frames(self.samples)


@dataclass(frozen=True)
class Split:
    """The segments of a split. changes: ids of those that were changed, left out or are odd, by what it is."""

    name: str
    segments: list[Segment]
    changes: dict[str, list[str]]

    @property
    def hours(self) -> float:
        return sum(s.samples for s in self.segments) / SAMPLE_RATE / 3600

    def describe(self) -> str:
        """One line for people."""
        changes = "".join(f"; {len(ids):,} {what}" for what, ids in self.changes.items())
        return f"{self.name}: {len(self.segments):,} segments, {self.hours:.2f} h{changes}"


def read_wav(segment: Segment) -> Tensor:
    """The segment's waveform (samples,) in [-1, 1]: by seeking in its talk, or by one read out of its tar.

    Raises:
        InputError: the file is gone, damaged or shorter than when it was looked at.
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
            f"{segment.audio}: segment {segment.id} has {len(wav)} samples, {segment.samples} were expected; is the file cut off?"
        )
    return torch.from_numpy(wav)


def read_bytes(file: Path, start: int, size: int) -> bytes:
    """A part of a file. It is opened each time, which costs microseconds: no handle is shared with a forked worker."""
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(handle, size, start)
    finally:
        os.close(handle)
