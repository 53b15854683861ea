"""Sound and pictures out of media files, by PyAV."""

from pathlib import Path

import av
import numpy
import torch
from torch import Tensor

from mmpt.upstream.mmpt_av.filterbank import SAMPLE_RATE


class MediaError(Exception):
    """A file that gives no usable sound or picture; the message is the reason."""


def decode_audio(path: Path, start_s: float, duration_s: float) -> Tensor:
    """The waveform (samples,) of a part of a file, mixed to mono at 16 kHz, in [-1, 1].

    Raises:
        MediaError: the file cannot be opened, has no sound, or none in this part.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise MediaError("no audio stream")
            stream = container.streams.audio[0]
            seek(container, stream, start_s)
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            pieces, first_s, have = [], None, 0
            wanted = round(duration_s * SAMPLE_RATE)
            for frame in container.decode(stream):
                if frame.pts is not None and first_s is None:
                    first_s = float(frame.pts * frame.time_base)
                for piece in resampler.resample(frame):
                    pieces.append(piece.to_ndarray()[0])
                    have += pieces[-1].shape[0]
                if have >= wanted + round(max(0.0, start_s - (first_s or 0.0)) * SAMPLE_RATE):
                    break
            else:
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"audio: {str(error).splitlines()[0]}") from None
    skip = round(max(0.0, start_s - (first_s or 0.0)) * SAMPLE_RATE)
    wav = numpy.concatenate(pieces)[skip : skip + wanted] if pieces else numpy.zeros(0, numpy.float32)
    if wav.shape[0] == 0:
        raise MediaError(f"no sound at {start_s:g} s")
    return torch.from_numpy(wav.astype(numpy.float32)).clamp(-1.0, 1.0)


def decode_video(path: Path, start_s: float, end_s: float, short_side: int) -> tuple[Tensor, Tensor]:
    """The pictures of a part of a file, and when each is shown.

    Args:
        short_side: pictures are scaled down to this many pixels on the short side (never up).
    Returns:
        frames (N, H, W, 3) uint8 and their times (N,) in seconds of the file.
    Raises:
        MediaError: the file cannot be opened, has no video stream, or no picture in this part.
    """
    frames, times = [], []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError("no video stream")
            stream = container.streams.video[0]
            seek(container, stream, start_s)
            for frame in container.decode(stream):
                if frame.time is None:
                    continue
                if frame.time >= end_s and frames:
                    break
                if frame.time <= start_s + 1e-6:  # decoded on the way from the key frame; the last one is still on screen at start_s
                    frames.clear(), times.clear()
                scale = min(1.0, short_side / min(frame.width, frame.height))
                frame_rgb = frame.reformat(round(frame.width * scale), round(frame.height * scale), format="rgb24")
                frames.append(frame_rgb.to_ndarray())
                times.append(frame.time)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"video: {str(error).splitlines()[0]}") from None
    if not frames:
        raise MediaError(f"no picture at {start_s:g} s")
    return torch.from_numpy(numpy.stack(frames)), torch.tensor(times, dtype=torch.float64)


def mean_rate(path: Path) -> float:
    """Pictures a second of a file, on average.

    Raises:
        MediaError: the file cannot be opened or has no video stream.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError("no video stream")
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"video: {str(error).splitlines()[0]}") from None
    if not rate:
        raise MediaError("video: no frame rate")
    return float(rate)


def seek(container: av.container.InputContainer, stream: av.stream.Stream, start_s: float) -> None:
    """To the key frame at or before `start_s`, without decoding what lies before it."""
    if start_s > 0:
        container.seek(int(start_s / stream.time_base), stream=stream, backward=True)
