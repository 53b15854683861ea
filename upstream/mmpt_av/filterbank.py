"""The front end: waveforms to normalised log-mel filterbank features, batched, on the waveform's own device.

All three stages share it. The energies are Kaldi's (25 ms Povey window, 10 ms hop, 80 bins, pre-emphasis 0.97, no
dither), as `torchaudio.compliance.kaldi.fbank` computes them, but for a whole batch at once and without torchaudio.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import SAMPLE_RATE
from .layout import SHIFT_SAMPLES, WINDOW_SAMPLES, Layout

FFT_SAMPLES = 512
LOW_HZ = 20.0
PRE_EMPHASIS = 0.97
ENERGY_FLOOR = 1.1920928955078125e-07  # Kaldi's: the float32 epsilon
VARIANCE_FLOOR = 1e-10
# Frames of the whole batch whose spectra are in memory at once: an hour needs little more than a minute.
CHUNK_FRAMES = 8192
GPU_CHUNK_FRAMES = 65_536  # a GPU has the memory, and starting a kernel costs it more
GPU_STEP_FRAMES = 4096  # the frames of a batch on a GPU are padded to a multiple of it
HALF = (torch.float16, torch.bfloat16)


def mel_banks(n_mels: int) -> Tensor:
    """Return Kaldi's triangular mel filters over the FFT's bins, (n_mels, 257); the last (Nyquist) bin is unused."""

    def mel(hz: Tensor) -> Tensor:
        return 1127.0 * torch.log(1.0 + hz / 700.0)

    bounds = mel(torch.tensor([LOW_HZ, SAMPLE_RATE / 2], dtype=torch.float64))
    edges = torch.linspace(bounds[0].item(), bounds[1].item(), n_mels + 2, dtype=torch.float64)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = mel(torch.arange(FFT_SAMPLES // 2, dtype=torch.float64) * SAMPLE_RATE / FFT_SAMPLES)[None]
    triangles = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0)
    return nn.functional.pad(triangles, (0, 1)).float()


def povey_window() -> Tensor:
    """Return Kaldi's window, a Hann window to the power 0.85: (400,)."""
    return torch.hann_window(WINDOW_SAMPLES, periodic=False, dtype=torch.float64).pow(0.85).float()


class ExactConstants(nn.Module):
    """A module that has constants of its own, which are never converted to half precision.

    Half precision would cost the log energies 3 digits, and the FFT does not support it.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ExactConstants":
        """Move or convert the constants, as in any module, but keep them in float32 at least."""
        exact = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, before in exact.items():
            after = self._buffers[name]
            if before is not None and after is not None and after.dtype in HALF:
                self._buffers[name] = before.to(after.device)
        return self


class FrameEnergies(ExactConstants):
    """Log-mel energies of windows of 16-bit-scaled waveforms."""

    window: Tensor
    mel: Tensor

    def __init__(self, n_mels: int):
        super().__init__()
        # Constants of the method, not weights: a checkpoint does not carry them.
        self.register_buffer("window", povey_window(), persistent=False)
        self.register_buffer("mel", mel_banks(n_mels).T.contiguous(), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Compute energies (B, F, n_mels) of windows (B, F, 400)."""
        frames = frames - frames.mean(dim=-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)  # Kaldi repeats the first sample
        frames = (frames - PRE_EMPHASIS * previous) * self.window
        spectra = torch.fft.rfft(frames, n=FFT_SAMPLES)
        squares = torch.view_as_real(spectra).square()
        power = squares[..., 0] + squares[..., 1]  # a sum over two items is slow, and abs() would take a root first
        return (power @ self.mel).clamp(min=ENERGY_FLOOR).log()


class Filterbank(ExactConstants):
    """Turn waveforms in [-1, 1] at 16 kHz into normalised features.

    An utterance of N samples is padded with zeros to `640 * ceil(N / 640) + 240` samples: `4 * ceil(N / 640)` frames.
    The first `speech_frames(N)` are speech. The few that follow are zero after normalisation and count as valid, so
    that the encoder gives exactly ceil(N / 640) states.

    Args:
        n_mels: number of mel bins.
        mean, std: fixed statistics, (n_mels,) each. Without them each utterance is normalised by its own.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, n_mels: int, mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None):
        super().__init__()
        if (mean is None) != (std is None):
            raise ValueError("a fixed normalisation needs both mean and std")
        self.frame_energies = FrameEnergies(n_mels)
        # Not in the state_dict: a checkpoint has them in its config.
        self.register_buffer("mean", None if mean is None else torch.tensor(mean), persistent=False)
        self.register_buffer("std", None if std is None else torch.tensor(std), persistent=False)

    def compile_energies(self, backend: Any = "inductor") -> None:
        """Let torch compile the energies at their first use, for batches of any size.

        For each chunk of windows a GPU then starts 6 kernels instead of 13.
        """
        # torch warns that it does not compile the FFT. It need not.
        warnings.filterwarnings("ignore", "Torchinductor does not support code generation for complex", UserWarning)
        self.frame_energies.compile(dynamic=True, backend=backend)

    def forward(self, wavs: list[Tensor]) -> tuple[Tensor, list[int]]:
        """Compute the features of a batch, padded.

        Args:
            wavs: 1-D tensors (samples,), 16 kHz, in [-1, 1], on one device; any length from one sample.

        Returns:
            feats (B, F, n_mels) float32 with F = 4 * ceil(longest / 640), zero past each item's own frames, and each
            item's number of frames.

        Raises:
            ValueError: the list is empty, or a waveform is empty or not one-dimensional.
        """
        layout = layout_of(wavs).to(wavs[0].device)
        return self.padded(layout.join(wavs), layout), layout.frames.lengths

    def separate(self, wavs: list[Tensor]) -> list[Tensor]:
        """Compute the features of each item of a batch, (its frames, n_mels); arguments and errors as of `forward`."""
        layout = layout_of(wavs).to(wavs[0].device)
        return layout.frames.split(self.packed(layout.join(wavs), layout))

    def packed(self, joined: Tensor, layout: Layout) -> Tensor:
        """Compute the features of a batch, packed (layout.frames.total, n_mels).

        Args:
            joined: the waveforms as `layout.join` gives them, on the layout's device.
            layout: of the batch.
        """
        return layout.frames.pack(self.padded(joined, layout))

    @torch.no_grad()
    def padded(self, joined: Tensor, layout: Layout) -> Tensor:
        """Compute the features (B, F, n_mels) of a joined waveform, zero past each item's own frames."""
        if joined.device.type == "cuda":
            # cuFFT makes and keeps a plan for each number of frames: let there be few numbers.
            joined = F.pad(joined, (0, -len(joined) % (GPU_STEP_FRAMES * SHIFT_SAMPLES)))
        with torch.autocast(joined.device.type, enabled=False):  # half precision would cost the log energies 3 digits
            energies = self.energies(joined[None] * 32768.0)[0]
            # Padded while they are normalised: the statistics of all items are then sums over one tensor.
            feats = layout.frames.unpack(energies.index_select(0, layout.frame_places()))
            return self.normalise(feats, layout.speech(), layout.no_speech())

    def energies(self, batch: Tensor) -> Tensor:
        """Compute log-mel energies (B, F, n_mels) of 16-bit-scaled waveforms (B, samples), F whole windows each."""
        frames = batch.unfold(1, WINDOW_SAMPLES, SHIFT_SAMPLES)  # (B, F, 400), a view
        most = CHUNK_FRAMES if batch.device.type == "cpu" else GPU_CHUNK_FRAMES
        chunks = torch.split(frames, max(1, most // len(batch)), dim=1)
        return torch.cat([self.frame_energies(chunk) for chunk in chunks], dim=1)

    def normalise(self, feats: Tensor, speech: Tensor, no_speech: Tensor) -> Tensor:
        """Normalise each item over its first `speech` frames (B,), and set all others, `no_speech` (B, F), to zero."""
        others = no_speech.unsqueeze(-1)
        if self.mean is not None and self.std is not None:
            return ((feats - self.mean) / self.std).masked_fill(others, 0.0)
        count = speech[:, None, None]
        # Centre twice: one pass leaves the rounding of the mean in digital silence, which the variance floor blows up.
        for _ in range(2):
            mean = feats.masked_fill(others, 0.0).sum(dim=1, keepdim=True) / count
            feats = (feats - mean).masked_fill(others, 0.0)
        variance = feats.square().sum(dim=1, keepdim=True) / count
        return feats / variance.clamp(min=VARIANCE_FLOOR).sqrt()


def layout_of(wavs: list[Tensor]) -> Layout:
    """Return the layout of waveforms (samples,), on the CPU.

    Raises:
        ValueError: the list is empty, or a waveform is empty or not one-dimensional.
    """
    if len(wavs) == 0:
        raise ValueError("no waveform given")
    for wav in wavs:
        if wav.dim() != 1 or wav.numel() == 0:
            raise ValueError(f"a waveform must be a non-empty 1-D tensor (samples,), got shape {tuple(wav.shape)}")
    return Layout([wav.numel() for wav in wavs])
