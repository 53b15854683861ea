"""Where the utterances of a batch lie, from samples to feature frames."""

import torch
from torch import Tensor

from .config import HOP_SAMPLES, state_count
from .packing import Packing, send

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
        counts: the samples as a tensor (B,) on the device, if it is there already.
    """

    def __init__(self, samples: list[int], device: torch.device | str = "cpu", counts: Tensor | None = None):
        self.samples = samples
        self.counts = send(torch.tensor(samples, dtype=torch.int64), torch.device(device)) if counts is None else counts
        states = Packing(samples, counts=self.counts).shrunk(HOP_SAMPLES)
        self.frames = Packing([FRAMES_A_STATE * n for n in states.lengths], counts=FRAMES_A_STATE * states.counts)

    def to(self, device: torch.device | str) -> "Layout":
        """Return the layout on a device; a pinned one is copied in the background."""
        return Layout(self.samples, counts=self.counts.to(device, non_blocking=True))

    def pin_memory(self) -> "Layout":
        """Return the layout in pinned memory."""
        return Layout(self.samples, counts=self.counts.pin_memory())

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
        utterances = torch.arange(len(self.samples), device=self.counts.device)
        return self.frames.place(self.frames.starts() + FRAMES_A_STATE * utterances)

    def speech(self) -> Tensor:
        """Return the number (B,) of frames of each utterance that are speech (see `speech_frames`)."""
        whole = (self.counts - WINDOW_SAMPLES).div(SHIFT_SAMPLES, rounding_mode="floor") + 1
        return whole.clamp(min=1)
