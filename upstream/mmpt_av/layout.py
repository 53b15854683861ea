"""Where the utterances of a batch lie, from samples to feature frames."""

import torch
from torch import Tensor

from .config import HOP_SAMPLES, state_count
from .packing import Packing
from .tables import Tables, send

WINDOW_SAMPLES = 400
SHIFT_SAMPLES = 160
FRAMES_A_STATE = HOP_SAMPLES // SHIFT_SAMPLES


def speech_frames(samples: int) -> int:
    """Return the frames that lie wholly inside `samples`, at least one: Kaldi's frames, which give the statistics."""
    return max(1, 1 + (samples - WINDOW_SAMPLES) // SHIFT_SAMPLES)


class Layout:
    """The places of a batch's utterances in one joined waveform, and the packing of their feature frames.

    A state of the encoder stands for 640 samples and 4 frames. In the joined waveform each utterance fills its states'
    samples, the last of them padded with zeros, and 640 zeros follow: no window reaches the next utterance.

    Training makes the layout with the batch and copies it to the GPU ahead, with the waveform.

    Args:
        samples: of each utterance, all at least 1.
        device: of the index tensors.
        tables: those of these samples that are there already; `device` is then not looked at.
    """

    def __init__(self, samples: list[int], device: torch.device | str = "cpu", tables: Tables | None = None):
        self.samples = samples
        self.tables = Tables(device) if tables is None else tables
        self.frames = Packing([FRAMES_A_STATE * state_count(n) for n in samples], tables=self.tables)

    def to(self, device: torch.device | str) -> "Layout":
        """Return the layout on a device; to a GPU it is copied in the background."""
        return Layout(self.samples, tables=self.tables.to(device))

    def pin_memory(self) -> "Layout":
        """Return the layout in pinned memory."""
        return Layout(self.samples, tables=self.tables.pin_memory())

    def starts_samples(self) -> list[int]:
        """Return where each utterance begins in the joined waveform, and where that ends: B + 1 numbers."""
        starts = [0]
        for samples in self.samples:
            starts.append(starts[-1] + (state_count(samples) + 1) * HOP_SAMPLES)
        return starts

    def join(self, wavs: list[Tensor]) -> Tensor:
        """Return the joined waveform, float32, of waveforms (samples,)."""
        starts = self.starts_samples()
        joined = wavs[0].new_zeros(starts[-1], dtype=torch.float32)
        for wav, start in zip(wavs, starts):
            joined[start : start + wav.numel()] = wav
        return joined

    def split(self, joined: Tensor) -> list[Tensor]:
        """Return each utterance's waveform (samples,), as views of the joined one."""
        return [joined[start : start + samples] for start, samples in zip(self.starts_samples(), self.samples)]

    def frame_places(self) -> Tensor:
        """Return the places (frames.total,) of the utterances' frames among those of the joined waveform."""
        return self.frames.spaced(FRAMES_A_STATE)

    def speech(self) -> Tensor:
        """Return the number (B,) of frames of each utterance that are speech (see `speech_frames`)."""
        numbers = [speech_frames(samples) for samples in self.samples]
        return self.tables.get("speech", lambda: send(torch.tensor(numbers, dtype=torch.int64), self.tables.device))

    def no_speech(self) -> Tensor:
        """Return a mask (B, frames.longest), True after the frames of each utterance that are speech."""

        def make() -> Tensor:
            return torch.arange(self.frames.longest, device=self.tables.device) >= self.speech().unsqueeze(1)

        return self.tables.get("no speech", make)

    def prepare(self) -> "Layout":
        """Make the index tensors that the front end and the encoder will ask for, and return the layout."""
        self.no_speech()
        self.frame_places()
        self.frames.prepare()
        prepare_for_encoder(self.frames)
        return self


def prepare_for_encoder(frames: Packing) -> Packing:
    """Make the index tensors that an encoder will ask for, and return the packing of its feature frames."""
    frames.spaced(4)
    frames.shrunk(2).blank(2)
    states = frames.shrunk(4)
    states.parted()
    states.within()
    states.places()
    return frames
