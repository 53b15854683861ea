"""Clips in tar shards, read at random through an index: what each needs lies together, and only the wanted pictures are read.

A shard is a plain tar that WebDataset reads. A clip is three members of one key: KEY.json (what follows here), KEY.flac (its first
10 s, 16 kHz mono, 16 bit) and KEY.mjpeg (its pictures, one JPEG after the other). `index.tsv` tells where every clip lies.
The JSON's `frame_times` (seconds from the clip's start), `frame_bytes` and `frame_crc32` are lists, one entry a picture.
"""

import gc
import io
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from sys import intern

import av
import numpy
import soundfile
import torch
from torch import Tensor

from mmpt.training.media import SAME_S, MediaError, media_errors
from mmpt.training.media_pictures import Converter, converted
from mmpt.upstream.errors import InputError

INDEX = "index.tsv"
COLUMNS = (
    "id",
    "shard",
    "offset",
    "json_bytes",
    "json_crc32",
    "audio_bytes",
    "picture_bytes",
    "duration_s",
    "split",
    "set",
    "group",
)
BLOCK = 512  # of a tar: a member is a block of header and its content, padded to whole blocks


@dataclass(slots=True)  # not frozen: a million of these are made at once, and frozen ones take three times as long
class ShardClip:
    """A clip in a shard: `offset` is where its JSON begins in the file, sizes are in bytes. The rest is as in the manifest.Clip."""

    id: str
    shard: Path
    offset: int
    json_bytes: int
    json_crc32: int
    audio_bytes: int
    picture_bytes: int
    duration_s: float
    split: str
    set: str
    group: str

    @property
    def audio_offset(self) -> int:
        return self.offset + padded(self.json_bytes) + BLOCK

    @property
    def picture_offset(self) -> int:
        return self.audio_offset + padded(self.audio_bytes) + BLOCK


def padded(size: int) -> int:
    """What `size` bytes take up in a tar."""
    return -(-size // BLOCK) * BLOCK


class ShardReader:
    """A clip of a shard, opened, with the methods of clip_source.ClipFiles; a context.

    The shard is opened for each clip, which costs microseconds: no handle is shared with a forked worker, and none is left open.

    Raises:
        MediaError: the shard is not there, cut off or damaged; the methods raise it too.
    """

    def __init__(self, clip: ShardClip):
        self.clip = clip
        self.where = f"shard {clip.shard.name}"
        try:
            self.file = os.open(clip.shard, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise MediaError(f"{self.where}: {error.strerror}") from None
        try:
            with media_errors(self.where):
                # One read for both: the sound follows the JSON, and is always wanted.
                head = self.part(clip.offset, clip.audio_offset - clip.offset + clip.audio_bytes)
                self.about = json.loads(checked(head[: clip.json_bytes], clip.json_crc32, "the JSON of this clip"))
                if self.about["id"] != clip.id:
                    raise MediaError(
                        f"clip {self.about['id']} lies where the index says: it is the index of other shards"
                    )
        except BaseException:
            os.close(self.file)
            raise
        self.flac = head[-clip.audio_bytes :]
        self.rate: float = self.about["rate"]  # pictures a second, on average, of the source

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *error) -> None:
        os.close(self.file)

    def part(self, offset: int, size: int) -> bytes:
        """A part of the shard (MediaError: it ends before)."""
        data = os.pread(self.file, size, offset)
        if len(data) < size:
            raise MediaError("cut off, it ends inside this clip")
        return data

    def audio(self) -> Tensor:
        """The waveform (samples,) at 16 kHz, in [-1, 1]."""
        with media_errors(self.where):
            flac = checked(self.flac, self.about["audio_crc32"], "the sound of this clip")
            wav, _ = soundfile.read(io.BytesIO(flac), dtype="float32")
        return torch.from_numpy(wav)

    def pictures_at(self, times: list[float], short_side: int) -> list[numpy.ndarray]:
        """What is on screen at each of the ascending times, (H, W, 3) uint8, scaled down to `short_side` (never up)."""
        shown = numpy.searchsorted(self.about["frame_times"], numpy.array(times) + SAME_S, side="right") - 1
        return self.decode(shown.clip(min=0).tolist(), short_side)

    def pictures(self, short_side: int) -> tuple[list[numpy.ndarray], list[float]]:
        """All pictures, (H, W, 3) uint8, and when each comes on screen."""
        times = self.about["frame_times"]
        return self.decode(range(len(times)), short_side), times

    def decode(self, numbers: Iterable[int], short_side: int) -> list[numpy.ndarray]:
        """The pictures of these numbers."""
        sizes, crc32s = self.about["frame_bytes"], self.about["frame_crc32"]
        starts = numpy.cumsum([self.clip.picture_offset, *sizes]).tolist()
        # FFmpeg's decoder is as fast as libjpeg-turbo through torchvision, and scales on the way; importing torchvision takes seconds.
        decoder = av.CodecContext.create("mjpeg", "r")
        decoder.thread_count = 1
        convert = Converter(short_side)

        def picture(number: int) -> numpy.ndarray:
            jpeg = checked(self.part(starts[number], sizes[number]), crc32s[number], f"picture {number} of this clip")
            return convert(decoder.decode(av.Packet(jpeg))[0])

        with media_errors(self.where):
            return converted(numbers, picture)


def checked(data: bytes, crc32: int, what: str) -> bytes:
    """The data, if they are what was written (MediaError if not)."""
    if zlib.crc32(data) != crc32:
        raise MediaError(f"damaged, {what} is not what was written")
    return data


def read_index(folder: Path) -> list[ShardClip]:
    """The clips of a folder of shards, in the order they were written in.

    Raises:
        InputError: there is no index, a line of it does not fit (named by its number), or a shard that it names is not there.
    """
    path = folder / INDEX
    clips, shards = [], {}
    is_collecting = gc.isenabled()
    gc.disable()  # it would look at every clip made so far again and again: half of the time
    try:
        with path.open(encoding="utf-8") as lines:
            if tuple(next(lines, "").rstrip("\n").split("\t")) != COLUMNS:
                raise InputError(f"{path}: is not an index of shards: its first line should name {', '.join(COLUMNS)}")
            for number, line in enumerate(lines, start=2):
                clips.append(parse_line(line, f"{path}, line {number}", folder, shards))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; finish the shards with scripts/prepare/shards.py, or name their folder"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None
    finally:
        if is_collecting:
            gc.enable()
    if not clips:
        raise InputError(f"{path}: lists no clip")
    return clips


def parse_line(line: str, where: str, folder: Path, shards: dict[str, Path]) -> ShardClip:
    """A line of the index. `shards` are those that were found so far: what a million clips have in common is stored once."""
    try:
        id_, shard, *numbers, duration_s, split, set_, group = line.rstrip("\n").split("\t")
        offset, json_bytes, json_crc32, audio_bytes, picture_bytes = map(int, numbers)
        duration = float(duration_s)
    except ValueError:
        raise InputError(f"{where}: does not fit; prepare the shards again, or fetch the index again") from None
    if shard not in shards:
        shards[shard] = folder / shard
        if not shards[shard].is_file():
            raise InputError(
                f"{shards[shard]}: no such shard, though {INDEX} names it; fetch it, or prepare the shards again"
            )
    return ShardClip(
        id_,
        shards[shard],
        offset,
        json_bytes,
        json_crc32,
        audio_bytes,
        picture_bytes,
        duration,
        intern(split),
        intern(set_),
        intern(group),
    )


def index_line(clip: ShardClip) -> str:
    """A clip as `read_index` reads it."""
    return "\t".join(str(getattr(clip, name)) if name != "shard" else clip.shard.name for name in COLUMNS)
