"""More than forty kinds of media that give no clip: what downloads, disks and people leave in place of a video."""

import gzip
import io
import json
import os
import socket
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy
import soundfile

from helpers.media_files import write_media

SECONDS = 4.0  # of the files that are broken: half of them is far more than what may lack at an end
GRAIN = numpy.random.default_rng(0).integers(0, 256, (64, 64, 3), numpy.uint8)


@dataclass(frozen=True)
class Kind:
    """A broken clip. make: writes it. reason: what the report must say (a pattern). start_s: of the clip.
    video, audio: the file's names, in the folder, where they are not the kind's own.
    """

    name: str
    reason: str
    make: Callable[[Path, "Whole"], object]
    start_s: float = 0.0
    video: str | None = None
    audio: str | None = None


class Whole:
    """Good files of several containers, each written once."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, name: str, **options) -> Path:
        path = self.folder / name
        if not path.exists():
            write_container(path, **options)
        return path

    def bytes(self, name: str = "whole.mp4", **options) -> bytes:
        return self.path(name, **options).read_bytes()


def write_container(
    path: Path, video: str | None = "libx264", audio: str | None = "aac", sound_s: float = SECONDS, **more
) -> None:
    """Noisy pictures, so that there are bytes to damage, and noise, in the container that the name says."""
    pictures = [GRAIN[:, n % 13 : n % 13 + 48] for n in range(round(SECONDS * 25))] if video else []
    noise = numpy.random.default_rng(1).normal(0, 0.1, (1, round(sound_s * 48000))) if audio else None
    write_media(path, pictures, noise, 48000, video=video, audio=audio, **more)


def box(data: bytes, name: bytes, inside: bool = False) -> slice:
    """Where an mp4's outer box (moov, mdat) lies, or its content."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == name:
            return slice(at + 8 * inside, at + size)
        at += size
    raise KeyError(name)


def zeroed(data: bytes, part: slice) -> bytes:
    return data[: part.start] + bytes(part.stop - part.start) + data[part.stop :]


def noise_after(data: bytes, share: float) -> bytes:
    keep = int(len(data) * share)
    return data[:keep] + numpy.random.default_rng(1).bytes(len(data) - keep)


def cut(data: bytes, share: float = 0.5) -> bytes:
    return data[: int(len(data) * share)]


def image(form: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(numpy.random.default_rng(1).integers(0, 256, (64, 64, 3), numpy.uint8)).save(file, form)
    return file.getvalue()


def recording(form: str, subtype: str | None = None, value: float = 0.1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, numpy.full(64000, value, numpy.float32), 16000, format=form, subtype=subtype)
    return file.getvalue()


def zip_of(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("clip.mp4", data)
    return file.getvalue()


def tar_of(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("clip.mp4")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def song_with_cover(path: Path) -> None:
    """An mp3 whose only picture is its cover."""
    with av.open(str(path), "w", format="mp3") as container:
        sound = container.add_stream("mp3", rate=16000, layout="mono")
        cover = container.add_stream("png", rate=25)
        cover.width = cover.height = 64
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        container.start_encoding()
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numpy.zeros((64, 64, 3), numpy.uint8), format="rgb24")))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(numpy.zeros((1, 64000), numpy.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def holds(content: Callable[[Whole], bytes]) -> Callable[[Path, Whole], object]:
    """A file with this content."""
    return lambda path, whole: path.write_bytes(content(whole))


def untouched(*_) -> None:
    """Nothing is made: the files named in the clip are there, or just not."""


def occupied(path: Path) -> None:
    """A socket's file."""
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may only be some hundred characters long
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


UNKNOWN = "not a media file, or damaged"
FAST = {"name": "fast.mp4", "options": {"movflags": "faststart"}}
WEB = {"name": "whole.webm", "video": "libvpx", "audio": "libopus"}
KINDS = [
    Kind("absent", "video: absent.mp4: No such file", untouched),
    Kind(
        "below_a_file",
        "video: inside.mp4: Not a directory",
        lambda p, w: w.path("whole.mp4"),
        video="whole.mp4/inside.mp4",
    ),
    Kind("long_name", "video: .*File name too long", untouched, video="x" * 300 + ".mp4"),
    Kind("folder", "a folder, not a file", lambda p, w: p.mkdir()),
    Kind("named_pipe", "a pipe or device, not a file", lambda p, w: os.mkfifo(p)),
    Kind("socket", "a pipe or device, not a file", lambda p, w: occupied(p)),
    Kind("device", "a pipe or device, not a file", lambda p, w: p.symlink_to("/dev/zero")),
    Kind("dangling_link", "link to a file that is not there", lambda p, w: p.symlink_to("gone.mp4")),
    Kind("link_loop", "Too many levels of symbolic links", lambda p, w: p.symlink_to(p.name)),
    Kind("zero_bytes", "empty file", holds(lambda w: b"")),
    Kind("one_byte", UNKNOWN, holds(lambda w: b"\0")),
    Kind("only_zeros", UNKNOWN, holds(lambda w: bytes(100_000))),
    Kind("random_bytes", UNKNOWN, holds(lambda w: numpy.random.default_rng(1).bytes(100_000))),
    Kind("text", UNKNOWN, holds(lambda w: b"This video is private.\n" * 50)),
    Kind(
        "html_page",
        UNKNOWN,
        holds(lambda w: b"<!DOCTYPE html><html><head><title>403 Forbidden</title></head><body></body></html>" * 30),
    ),
    Kind(
        "json_error",
        UNKNOWN,
        holds(lambda w: json.dumps({"error": {"code": 429, "message": "quota exceeded"}}).encode()),
    ),
    Kind(
        "git_lfs_pointer",
        UNKNOWN,
        holds(lambda w: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1234\n"),
    ),
    Kind("pdf", UNKNOWN, holds(lambda w: b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" * 50)),
    Kind(
        "playlist",
        "video: ",
        holds(lambda w: b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://192.0.2.1/clip.ts\n#EXT-X-ENDLIST\n"),
    ),
    Kind("subtitles", "no video stream", holds(lambda w: b"1\n00:00:00,000 --> 00:00:04,000\nHello\n\n" * 20)),
    Kind("gz", UNKNOWN, holds(lambda w: gzip.compress(w.bytes()))),
    Kind("zip", UNKNOWN, holds(lambda w: zip_of(w.bytes()))),
    Kind("tar", UNKNOWN, holds(lambda w: tar_of(w.bytes()))),
    Kind("wav_as_mp4", "no video stream", holds(lambda w: recording("WAV"))),
    Kind("flac_as_mp4", "no video stream", holds(lambda w: recording("FLAC"))),
    Kind("mp3_as_mp4", "no video stream", holds(lambda w: recording("MP3"))),
    Kind("song_with_cover", "no video stream, only a still picture", lambda p, w: song_with_cover(p)),
    Kind("jpeg_as_mp4", "a still picture", holds(lambda w: image("JPEG"))),
    Kind("png_as_mp4", "a still picture", holds(lambda w: image("PNG"))),
    Kind("bmp_as_mp4", "a still picture", holds(lambda w: image("BMP"))),
    Kind("gif_as_mp4", "audio: no audio stream", holds(lambda w: image("GIF"))),
    Kind("still_with_sound", "a still picture", holds(lambda w: image("PNG")), audio="whole.mp4"),
    Kind("audio_only", "video: no video stream", holds(lambda w: w.bytes("deaf.mp4", video=None))),
    Kind("video_only", "audio: no audio stream", holds(lambda w: w.bytes("mute.mp4", audio=None))),
    Kind("half_a_file", UNKNOWN, holds(lambda w: cut(w.bytes()))),
    Kind("start_lost", UNKNOWN, holds(lambda w: w.bytes()[3000:])),
    Kind("header_zeroed", UNKNOWN, holds(lambda w: zeroed(w.bytes(**FAST), slice(0, 2000)))),
    Kind("ftyp_only", UNKNOWN, holds(lambda w: w.bytes()[:32])),
    Kind("moov_zeroed", UNKNOWN, holds(lambda w: zeroed(w.bytes(), box(w.bytes(), b"moov")))),
    Kind("moov_cut", UNKNOWN, holds(lambda w: w.bytes()[: box(w.bytes(), b"moov").start + 700])),
    Kind(
        "moov_only", "no sound from 0.00 s on", holds(lambda w: w.bytes(**FAST)[: box(w.bytes(**FAST), b"mdat").start])
    ),
    Kind("mdat_zeroed", "no picture|damaged", holds(lambda w: zeroed(w.bytes(), box(w.bytes(), b"mdat", inside=True)))),
    Kind("mdat_random", "no picture|damaged", holds(lambda w: noise_after(w.bytes(**FAST), 0.1))),
    Kind("faststart_cut", "cut off|damaged", holds(lambda w: cut(w.bytes(**FAST)))),
    Kind(
        "codec_unknown",
        "no decoder for the video stream",
        holds(lambda w: w.bytes().replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC")),
    ),
    Kind("mkv_cut", "cut off|damaged", holds(lambda w: cut(w.bytes("whole.mkv")))),
    Kind("mkv_garbage", "cut off|damaged|no picture", holds(lambda w: noise_after(w.bytes("whole.mkv"), 0.05))),
    Kind("avi_cut", "cut off|damaged", holds(lambda w: cut(w.bytes("whole.avi", video="mpeg4", audio="mp3")))),
    Kind(
        "avi_garbage",
        "cut off|damaged|no picture",
        holds(lambda w: noise_after(w.bytes("whole.avi", video="mpeg4", audio="mp3"), 0.1)),
    ),
    Kind("webm_cut", "cut off|damaged", holds(lambda w: cut(w.bytes(**WEB)))),
    Kind("webm_garbage", "cut off|damaged|no picture", holds(lambda w: noise_after(w.bytes(**WEB), 0.05))),
    Kind("ts_garbage", "cut off|damaged|no picture|no sound", holds(lambda w: noise_after(w.bytes("whole.ts"), 0.05))),
    Kind("ts_cut", "cut off", holds(lambda w: cut(w.bytes("whole.ts")))),
    Kind("starts_beyond_the_end", "audio: no sound at 60.00 s, it ends at 4", holds(lambda w: w.bytes()), start_s=60.0),
    Kind("starts_in_a_far_future", "audio: no sound at 1", holds(lambda w: w.bytes()), start_s=1e18),
    Kind(
        "sound_ends_before",
        "audio: no sound at 2.50 s, it ends at 1",
        holds(lambda w: w.bytes("early.mp4", sound_s=1.0)),
        start_s=2.5,
    ),
    Kind(
        "sound_begins_after",
        "audio: no sound at 0.00 s, it begins at [45]",
        holds(lambda w: w.bytes("late.mp4", sound_from_s=5.0)),
    ),
    Kind(
        "sound_is_no_number", "audio: holds samples that are no numbers", untouched, video="whole.mp4", audio="nan.wav"
    ),
    Kind("sound_file_absent", "audio: gone.wav: No such file", untouched, video="whole.mp4", audio="gone.wav"),
    Kind("sound_file_is_text", "audio: text.mp4: " + UNKNOWN, untouched, video="whole.mp4", audio="text.mp4"),
]


def write_broken(folder: Path) -> list[tuple[str, Path, Path, float]]:
    """Every kind as (name, video, audio, start_s), 4 s long by the manifest; the first ones of a folder make it too."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = Whole(folder)
    whole.path("whole.mp4")
    (folder / "nan.wav").write_bytes(recording("WAV", "FLOAT", numpy.nan))
    clips = []
    for kind in KINDS:
        path = folder / f"{kind.name}.mp4"
        kind.make(path, whole)
        video = folder / kind.video if kind.video else path
        clips.append((kind.name, video, folder / kind.audio if kind.audio else video, kind.start_s))
    return clips
