"""Sound and pictures out of media files, by PyAV."""

from collections.abc import Iterator
from contextlib import contextmanager
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
    with media_errors("audio"), av.open(str(path)) as container:
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
    skip = round(max(0.0, start_s - (first_s or 0.0)) * SAMPLE_RATE)
    wav = numpy.concatenate(pieces)[skip : skip + wanted] if pieces else numpy.zeros(0, numpy.float32)
    if wav.shape[0] == 0:
        raise MediaError(f"no sound at {start_s:g} s")
    return torch.from_numpy(wav.astype(numpy.float32)).clamp(-1.0, 1.0)


class VideoFile:
    """A file's pictures. Use it as a context.

    Raises:
        MediaError: the file cannot be opened, or has no video stream or frame rate.
    """

    def __init__(self, path: Path):
        with media_errors("video"):
            self.container = av.open(str(path))
        if not self.container.streams.video:
            self.container.close()
            raise MediaError("no video stream")
        self.stream = self.container.streams.video[0]
        self.stream.codec_context.thread_count = 1  # many files are read at once: threads inside one only cost
        rate = self.stream.average_rate or self.stream.guessed_rate
        if not rate:
            self.container.close()
            raise MediaError("video: no frame rate")
        self.rate = float(rate)  # pictures a second, on average

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, *error) -> None:
        self.container.close()

    def decode(self, start_s: float, end_s: float, short_side: int) -> tuple[Tensor, Tensor]:
        """The pictures of a part of the file, and when each is shown.

        Args:
            short_side: pictures are scaled down to this many pixels on the short side (never up).
        Returns:
            frames (N, H, W, 3) uint8 and their times (N,) in seconds of the file.
        Raises:
            MediaError: the file is damaged, or has no picture in this part.
        """
        frames, times = [], []
        scaler = av.video.reformatter.VideoReformatter()  # one for all pictures: a frame's own would set up again each time
        with media_errors("video"):
            seek(self.container, self.stream, start_s)
            for frame in self.container.decode(self.stream):
                if frame.time is None:
                    continue
                if frame.time >= end_s and frames:
                    break
                if frame.time <= start_s + 1e-6:  # on the way from the key frame; the last one is on screen at start_s
                    frames.clear(), times.clear()
                scale = min(1.0, short_side / min(frame.width, frame.height))
                small = scaler.reformat(frame, round(frame.width * scale), round(frame.height * scale), "rgb24")
                frames.append(small.to_ndarray())
                times.append(frame.time)
        if not frames:
            raise MediaError(f"no picture at {start_s:g} s")
        return torch.from_numpy(numpy.stack(frames)), torch.tensor(times, dtype=torch.float64)


@contextmanager
def media_errors(what: str) -> Iterator[None]:
    """Turns what PyAV raises for bad files into a MediaError of one line."""
    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{what}: {str(error).splitlines()[0]}") from None


def seek(container: av.container.InputContainer, stream: av.stream.Stream, start_s: float) -> None:
    """To the key frame at or before `start_s`, without decoding what lies before it."""
    if start_s > 0:
        container.seek(int(start_s / stream.time_base), stream=stream, backward=True)
