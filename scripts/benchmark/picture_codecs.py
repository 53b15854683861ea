"""Forms of a clip's pictures: packed, read again, and compared."""

import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import cast

import av
import numpy
from PIL import Image

from mmpt.scripts.benchmark.synthetic_media import FPS, write_video
from mmpt.training.media_pictures import Converter, VideoFile

CLIP_S = 10
WANTED = 16  # pictures of a training clip
EVERY = 5  # to be quick, only each fifth picture is packed


@dataclass(frozen=True)
class Form:
    """A way to keep pictures.

    Args:
        name: in the table.
        encode: pictures (H, W, 3) → bytes of each.
        codec: PyAV's decoder.
    """

    name: str
    encode: Callable[[list[numpy.ndarray]], list[bytes]]
    codec: str


def jpeg(**options: object) -> Callable[[list[numpy.ndarray]], list[bytes]]:
    """Return an encoder to JPEG with Pillow's options."""

    def encode(pictures: list[numpy.ndarray]) -> list[bytes]:
        files = [io.BytesIO() for _ in pictures]
        for picture, file in zip(pictures, files):
            Image.fromarray(picture).save(file, "JPEG", subsampling="4:2:0", **options)
        return [file.getvalue() for file in files]

    return encode


def intra_h264(crf: int, preset: str) -> Callable[[list[numpy.ndarray]], list[bytes]]:
    """Return an encoder to H.264 key frames, each with the stream's parameters, so that it can be decoded alone."""

    def encode(pictures: list[numpy.ndarray]) -> list[bytes]:
        context = av.VideoCodecContext.create("libx264", "w")
        context.height, context.width = pictures[0].shape[:2]
        context.pix_fmt, context.thread_count = "yuv420p", 1
        context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS)
        context.options = {
            "preset": preset,
            "crf": str(crf),
            "tune": "zerolatency",
            "x264-params": "keyint=1:repeat-headers=1:threads=1",
        }
        packets = []
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p", threads=1)
            frame.pts, frame.time_base = number, context.time_base
            packets += context.encode(frame)
        return [bytes(packet) for packet in [*packets, *context.encode(None)]]

    return encode


FORMS = [
    *(Form(f"JPEG {quality}", jpeg(quality=quality), "mjpeg") for quality in (75, 80, 85, 90)),
    Form("JPEG 85, best Huffman tables", jpeg(quality=85, optimize=True), "mjpeg"),
    *(Form(f"H.264, key frames only, crf {crf}", intra_h264(crf, "veryfast"), "h264") for crf in (16, 20)),
]


def decode(codec: str, files: list[bytes]) -> list[numpy.ndarray]:
    """Decode pictures."""
    context = cast(av.VideoCodecContext, av.CodecContext.create(codec, "r"))
    context.thread_count = 1
    convert = Converter(short_side=256)
    frames = [frame for file in files for frame in context.decode(av.Packet(file))]
    return [convert(frame) for frame in [*frames, *(context.decode(None) if codec == "h264" else [])]]


def likeness(pictures: list[numpy.ndarray], sources: list[numpy.ndarray]) -> float:
    """Return the mean peak signal-to-noise ratio in dB."""
    errors = [
        numpy.square(picture.astype(float) - source).mean() for picture, source in zip(pictures, sources, strict=True)
    ]
    return float(numpy.mean(10 * numpy.log10(255**2 / numpy.array(errors))))


def benchmark(rounds: int) -> None:
    """Pack and read one clip in each form, `rounds` times, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "clip.mp4", CLIP_S, seed=0)
        source_bytes = (Path(folder) / "clip.mp4").stat().st_size
        with VideoFile(Path(folder) / "clip.mp4") as video:
            pictures, _ = video.pictures(CLIP_S, 256)
    some = pictures[::EVERY]
    times: dict[tuple[str, str], list[float]] = {}
    files: dict[str, list[bytes]] = {}
    for _ in range(rounds):
        for form in FORMS:
            started = time.process_time()
            files[form.name] = form.encode(some)
            packed = time.process_time()
            read = len(decode(form.codec, files[form.name][:WANTED]))
            times.setdefault((form.name, "pack"), []).append((packed - started) * EVERY)
            times.setdefault((form.name, "read"), []).append((time.process_time() - packed) * WANTED / read)
    print(
        f"one synthetic clip of {CLIP_S} s, {len(pictures)} pictures of 340x256; its mp4 has "
        f"{source_bytes / 1e6:.2f} MB with sound; processor time, min / median / max of {rounds} rounds"
    )
    print(f"{'form':34}{'MB a clip':>10}{'PSNR, dB':>10}{'ms to pack a clip':>26}{'ms to read its 16':>26}")
    for form in FORMS:
        size = sum(map(len, files[form.name])) * EVERY / 1e6
        spreads = [
            f"{min(t) * 1e3:.1f} / {median(t) * 1e3:.1f} / {max(t) * 1e3:.1f}"
            for t in (times[form.name, "pack"], times[form.name, "read"])
        ]
        db = likeness(decode(form.codec, files[form.name]), some)
        print(f"{form.name:34}{size:10.2f}{db:10.1f}{spreads[0]:>26}{spreads[1]:>26}")
