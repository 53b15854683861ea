"""The index of a folder of shards: where each clip lies. Imports no torch.

A shard is a plain tar that WebDataset reads. A clip is three members with one key: KEY.json (below), KEY.flac (its
used sound, 16 kHz mono, 16 bit) and KEY.mjpeg (its pictures, one JPEG after the other). `index.tsv` tells where every
clip lies, so that clips are read at random. Lists in the JSON have one entry a picture: `frame_times` (seconds from the
clip's start), `frame_bytes` and `frame_crc32`.
"""

import gc
import tarfile
from dataclasses import dataclass
from pathlib import Path
from sys import intern

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


@dataclass(slots=True)  # not frozen: a frozen one takes three times as long to make, and an index may have a million
class ShardClip:
    """A clip in a shard. `offset` is where its JSON begins in the file; sizes are in bytes; the rest is as in Clip."""

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
        return self.offset + padded(self.json_bytes) + tarfile.BLOCKSIZE

    @property
    def picture_offset(self) -> int:
        return self.audio_offset + padded(self.audio_bytes) + tarfile.BLOCKSIZE


def padded(size: int) -> int:
    """Return the bytes that a member's content takes up in a tar: whole blocks, after a block of header."""
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def read_index(folder: Path) -> list[ShardClip]:
    """Return the clips of a folder of shards, in the order in which they were written.

    Raises:
        InputError: there is no index, a line of it does not fit (the error gives its number), or a shard is missing.
    """
    path = folder / INDEX
    clips: list[ShardClip] = []
    shards: dict[str, Path] = {}
    is_collecting = gc.isenabled()
    gc.disable()  # it would traverse all clips made so far again and again, which takes half of the time
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
    """Return the clip of an index line. `shards` holds the paths seen so far, which the clips of a shard share."""
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
    """Return a clip's index line, as `read_index` reads it."""
    return "\t".join(str(getattr(clip, name)) if name != "shard" else clip.shard.name for name in COLUMNS)
