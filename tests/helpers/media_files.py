"""Media of any form for the tests: given pictures and sound, in named containers and codecs."""

from fractions import Fraction
from pathlib import Path

import av
import numpy

FAST = {
    "libx264": {"preset": "ultrafast"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "mpeg4": {"qscale": "2"},
}
CLOCK = Fraction(1, 90000)


def write_media(
    path: Path,
    pictures: list[numpy.ndarray],
    sound: numpy.ndarray | None,
    sound_rate: int = 16000,
    layout: str = "mono",
    times: list[float] | None = None,
    sound_from_s: float = 0.0,
    video: str = "libx264",
    audio: str = "aac",
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    codec_options: dict | None = None,
    options: dict | None = None,
) -> None:
    """Write a file.

    Args:
        pictures: (H, W, 3) uint8, shown at `times` in seconds (else at `rate`).
        sound: (channels, samples) in [-1, 1], or None.
    """
    times = times or [n / rate for n in range(len(pictures))]
    with av.open(str(path), "w", options=options or {}) as container:
        if pictures:
            stream = container.add_stream(
                video, rate=rate, options={"g": str(rate), **FAST.get(video, {}), **(codec_options or {})}
            )
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = pix_fmt
            stream.codec_context.time_base = CLOCK if times and video == "libx264" else Fraction(1, rate)
        if sound is not None:
            track = container.add_stream(audio, rate=sound_rate, layout=layout)
        for time, picture in zip(times, pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            container.mux(stream.encode(frame))
        if pictures:
            container.mux(stream.encode(None))
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(
                numpy.ascontiguousarray(sound, numpy.float32), format="fltp", layout=layout
            )
            frame.sample_rate, frame.time_base = sound_rate, Fraction(1, sound_rate)
            frame.pts = round(sound_from_s * sound_rate)
            container.mux(track.encode(frame))
            container.mux(track.encode(None))


def counting(number: int, height: int = 48, width: int = 48) -> list[numpy.ndarray]:
    """Grey pictures whose level counts them, 5 a picture, modulo 50."""
    return [numpy.full((height, width, 3), 5 * (n % 50), numpy.uint8) for n in range(number)]


def tone(seconds: float, rate: int, hertz: float = 440.0, level: float = 0.5) -> numpy.ndarray:
    """A sine (samples,)."""
    return level * numpy.sin(2 * numpy.pi * hertz * numpy.arange(round(seconds * rate)) / rate)
