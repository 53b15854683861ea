"""Read recordings, and apply the sox effects of S3PRL's tasks, with soundfile instead of sox.

These functions replace `torchaudio.load` and `torchaudio.sox_effects` if torchaudio has removed them (see `repairs`).
"""

from __future__ import annotations

import os

import soundfile
import torch

from mmpt.upstream.s3prl_runner.silence import without_silences


def load(
    uri: str | os.PathLike,
    frame_offset: int = 0,
    num_frames: int = -1,
    normalize: bool = True,
    channels_first: bool = True,
    format: str | None = None,
    buffer_size: int = 4096,
    backend: str | None = None,
) -> tuple[torch.Tensor, int]:
    """Read a recording like torchaudio's former `load`.

    `normalize`, `format`, `buffer_size` and `backend` have no effect; the signature needs them.

    Returns:
        The waveform, float32 in [-1, 1], (channels, samples) or (samples, channels), and its rate.
    """
    samples, rate = soundfile.read(
        uri if hasattr(uri, "read") else os.fspath(uri),
        start=frame_offset,
        frames=num_frames,
        dtype="float32",
        always_2d=True,
    )
    waveform = torch.from_numpy(samples)  # (samples, channels)
    return (waveform.t().contiguous() if channels_first else waveform), rate


def apply_effects_file(
    path: str, effects: list[list[str]], normalize: bool = True, channels_first: bool = True, format: str | None = None
) -> tuple[torch.Tensor, int]:
    """Read `path` and apply sox `effects` to it, as `apply_effects_tensor` does."""
    waveform, rate = load(path)
    result = apply_effects_tensor(waveform, rate, effects)
    return result if channels_first else _transposed(result)


def apply_effects_tensor(
    tensor: torch.Tensor, sample_rate: int, effects: list[list[str]], channels_first: bool = True
) -> tuple[torch.Tensor, int]:
    """Apply the effects `channels 1`, `rate HZ`, `gain DB` and `silence` in order.

    `channels 1` is the mean over channels and `gain` a factor of 10^(DB/20), both as in sox. `rate` is torchaudio's
    windowed-sinc resampler instead of sox's, and has no effect if the rate is right already. `silence` is that of
    speaker verification, for one channel.

    Raises:
        NotImplementedError: any other effect, or other options.
    """
    if not channels_first:
        return _transposed(apply_effects_tensor(tensor.t(), sample_rate, effects))
    for name, *options in effects:
        if name == "channels" and options == ["1"]:
            tensor = tensor.mean(dim=0, keepdim=True)
        elif name == "rate" and len(options) == 1:
            tensor, sample_rate = _resampled(tensor, sample_rate, int(options[0])), int(options[0])
        elif name == "gain" and len(options) == 1:
            # sox computes in 32-bit integers, which clip
            tensor = (tensor * 10 ** (float(options[0]) / 20)).clamp(-1, 1)
        elif name == "silence" and (duration := _silence_options(options)) and len(tensor) == 1:
            tensor = torch.from_numpy(without_silences(tensor[0].numpy(), sample_rate, *duration))[None]
        else:
            raise NotImplementedError(
                f"the sox effect '{' '.join([name, *options])}' needs libsox and torchaudio < 2.9; "
                "without them 'channels 1', 'rate HZ', 'gain DB' and 'silence 1 S P% -1 S P%' are available"
            )
    return tensor, sample_rate


def _silence_options(options: list[str]) -> tuple[float, float] | None:
    """Return seconds and per cent of `1 S P% -1 S P%`; None for other options of `silence`."""
    if len(options) != 6 or options[0] != "1" or options[3] != "-1" or options[1:3] != options[4:6]:
        return None
    seconds, level = options[1:3]
    return (float(seconds), float(level[:-1])) if level.endswith("%") and "." in seconds else None


def _resampled(tensor: torch.Tensor, rate: int, new_rate: int) -> torch.Tensor:
    if rate == new_rate:
        return tensor
    from torchaudio.functional import resample

    return resample(tensor, rate, new_rate)


def _transposed(result: tuple[torch.Tensor, int]) -> tuple[torch.Tensor, int]:
    return result[0].t(), result[1]
