"""Clips in tar shards: all of a clip lies together, and only the wanted pictures are read (format: shard_index.py)."""

import io
import json
import os
import zlib
from collections.abc import Iterable
from functools import cached_property

import numpy
import soundfile
import torch
from torch import Tensor

from mmpt.pretrain.clip_reader import ClipReader
from mmpt.pretrain.pictures import decode_picture
from mmpt.pretrain.shard_index import ShardClip
from mmpt.training.media import SAME_S, MediaError, media_errors
from mmpt.training.media_pictures import converted


class ShardReader(ClipReader):
    """A clip of a shard.

    Each clip opens its shard anew, which costs microseconds: no handle is shared with a forked worker or left open.
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
                # One read for JSON and sound: they lie together, and both are always wanted.
                head = self.read(clip.offset, clip.audio_offset - clip.offset + clip.audio_bytes)
                self.about = json.loads(checked(head[: clip.json_bytes], clip.json_crc32, "the JSON of this clip"))
                if self.about["id"] != clip.id:
                    raise MediaError(
                        f"clip {self.about['id']} lies where the index lists {clip.id}: it is the index of other shards"
                    )
        except BaseException:
            self.close()
            raise
        self.flac = head[-clip.audio_bytes :]
        self.rate = self.about["rate"]  # of the source

    def close(self) -> None:
        os.close(self.file)

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the shard (MediaError if it ends before)."""
        data = os.pread(self.file, size, offset)
        if len(data) < size:
            raise MediaError("cut off, it ends inside this clip")
        return data

    def audio(self) -> Tensor:
        with media_errors(self.where):
            flac = checked(self.flac, self.about["audio_crc32"], "the sound of this clip")
            wav, _ = soundfile.read(io.BytesIO(flac), dtype="float32")
        return torch.from_numpy(wav)

    def pictures_at(self, times: list[float], short_side: int) -> list[numpy.ndarray]:
        return self.decode(self.numbers_at(times), short_side)

    def files_at(self, times: list[float]) -> list[bytes]:
        """Return the picture on screen at each of the ascending times, as a JPEG file."""
        with media_errors(self.where):
            return [self.file_of(number) for number in self.numbers_at(times)]

    def numbers_at(self, times: list[float]) -> list[int]:
        """Return the numbers of the pictures on screen at these times."""
        shown = numpy.searchsorted(self.about["frame_times"], numpy.array(times) + SAME_S, side="right") - 1
        numbers: list[int] = shown.clip(min=0).tolist()
        return numbers

    def pictures(self, short_side: int) -> tuple[list[numpy.ndarray], list[float]]:
        times = self.about["frame_times"]
        return self.decode(range(len(times)), short_side), times

    def decode(self, numbers: Iterable[int], short_side: int) -> list[numpy.ndarray]:
        """Return the pictures of these numbers, scaled down to `short_side` (never up)."""
        with media_errors(self.where):
            return converted(numbers, lambda number: decode_picture(self.file_of(number), short_side))

    def file_of(self, number: int) -> bytes:
        """Return the JPEG file of a picture."""
        data = self.read(self.starts[number], self.about["frame_bytes"][number])
        return checked(data, self.about["frame_crc32"][number], f"picture {number} of this clip")

    @cached_property
    def starts(self) -> list[int]:
        """Where each picture begins in the shard."""
        starts: list[int] = numpy.cumsum([self.clip.picture_offset, *self.about["frame_bytes"]]).tolist()
        return starts


def checked(data: bytes, crc32: int, what: str) -> bytes:
    """Return the data if their checksum is right (MediaError if not)."""
    if zlib.crc32(data) != crc32:
        raise MediaError(f"damaged, {what} is not what was written")
    return data
