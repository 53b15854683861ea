"""Makes shards: a clip's media packed into three members of a tar (see mmpt.pretrain.shard_index), and the tar written whole or not at all."""

import hashlib
import io
import json
import os
import signal
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy
import soundfile
import torch
from PIL import Image

from mmpt.pretrain.file_reader import FileReader
from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.shard_index import ShardClip, padded
from mmpt.training.media import MediaError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

FORMAT = 1  # of the shards: raised when they are written differently
PEAK = 32768


@dataclass(frozen=True)
class Packed:
    """A clip as it goes into a shard: the contents of its members. seconds: of sound."""

    about: bytes
    flac: bytes
    pictures: bytes
    seconds: float


def pack(clip: Clip, short_side: int, quality: int) -> Packed | str:
    """A clip's members; where it cannot be read, the reason."""
    try:
        with FileReader(clip) as media:
            wav = media.audio()
            frames, times = media.pictures(short_side)
            rate = media.rate
    except MediaError as error:
        return str(error)
    flac = io.BytesIO()
    soundfile.write(flac, to_int16(wav.numpy()), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    pictures = [jpeg(frame, quality) for frame in frames]
    about = {
        "id": clip.id,
        "split": clip.split,
        "set": clip.set,
        "group": clip.group,
        "start_s": clip.start_s,
        "duration_s": clip.duration_s,
        "rate": rate,
        "height": frames[0].shape[0],
        "width": frames[0].shape[1],
        "sample_rate": SAMPLE_RATE,
        "samples": len(wav),
        "audio_crc32": zlib.crc32(flac.getvalue()),
        "frame_times": times,
        "frame_bytes": [len(picture) for picture in pictures],
        "frame_crc32": [zlib.crc32(picture) for picture in pictures],
    }
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
    return Packed(text.encode(), flac.getvalue(), b"".join(pictures), len(wav) / SAMPLE_RATE)


def jpeg(picture: numpy.ndarray, quality: int) -> bytes:
    """A picture (H, W, 3) as JPEG; with the standard's Huffman tables: its own would save 6 % and take two thirds longer."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def to_int16(wav: numpy.ndarray) -> numpy.ndarray:
    """Samples in [-1, 1] as the nearest of 16 bits; 1.0 itself is one step too high for them."""
    return numpy.rint(wav * PEAK).clip(-PEAK, PEAK - 1).astype(numpy.int16)


def packed_clips(clips: Iterable[Clip], jobs: int, short_side: int, quality: int) -> Iterator[Packed | str]:
    """Every clip packed, in order, by `jobs` processes (1: by this one)."""
    work = partial(pack, short_side=short_side, quality=quality)
    if jobs == 1:
        yield from map(work, clips)
    else:
        yield from in_order(work, clips, jobs)


def in_order(work: Callable[[Clip], Packed | str], clips: Iterable[Clip], jobs: int) -> Iterator[Packed | str]:
    """Map over processes with a bounded number of results waiting. A clip that kills its process is reported like a broken one."""
    waiting: deque[tuple[Clip, Future]] = deque()
    rest = iter(clips)
    pool = new_pool(jobs)
    try:
        while True:
            while len(waiting) < 4 * jobs and (clip := next(rest, None)):
                waiting.append((clip, pool.submit(work, clip)))
            if not waiting:
                return
            clip, future = waiting.popleft()
            try:
                yield future.result()
            except BrokenProcessPool:  # by one of those that were at work: each gets a process of its own
                pool.shutdown(cancel_futures=True)
                for clip in [clip, *(other for other, _ in waiting)]:
                    yield alone(work, clip)
                waiting.clear()
                pool = new_pool(jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def new_pool(processes: int) -> ProcessPoolExecutor:
    """Processes forked off a server that has imported this module: they start at once, and without the caller's threads."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(processes, mp_context=context, initializer=start_process)


def start_process() -> None:
    """In a new process: Ctrl-C reaches all of them, and the parent answers it; and there are as many processes as cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def alone(work: Callable[[Clip], Packed | str], clip: Clip) -> Packed | str:
    """The work on one clip in a process that may die of it."""
    with new_pool(1) as pool:
        try:
            return pool.submit(work, clip).result()
        except BrokenProcessPool:
            return "its decoder killed the process (a crash, or the memory ran out)"


class ShardWriter:
    """Writes one tar under a temporary name, and renames it when it is whole. A context: an error leaves nothing behind.

    sha256, size: of the file, once it is closed.
    """

    def __init__(self, path: Path):
        self.path = path
        self.temporary = path.with_name(f".{path.name}.tmp")
        self.size = 0
        self.hash = hashlib.sha256()
        self.clips: list[ShardClip] = []

    def __enter__(self) -> "ShardWriter":
        self.file = self.temporary.open("wb")
        return self

    def __exit__(self, kind, *error) -> None:
        if kind is None and self.clips:
            self.write(bytes(2 * tarfile.BLOCKSIZE))  # a tar's end
            self.file.flush()
            os.fsync(self.file.fileno())
        self.file.close()
        if kind is None and self.clips:
            os.replace(self.temporary, self.path)
        else:
            self.temporary.unlink(missing_ok=True)

    def add(self, clip: Clip, packed: Packed) -> None:
        """Appends a clip. Its key is its number in the shard: an id may hold dots and slashes, where WebDataset splits names."""
        key = f"{len(self.clips):06d}"
        offset = self.size + tarfile.BLOCKSIZE
        for ending, data in (("json", packed.about), ("flac", packed.flac), ("mjpeg", packed.pictures)):
            entry = tarfile.TarInfo(f"{self.path.stem}-{key}.{ending}")
            entry.size = len(data)
            self.write(entry.tobuf(tarfile.USTAR_FORMAT) + data + bytes(padded(len(data)) - len(data)))
        self.clips.append(
            ShardClip(
                clip.id,
                self.path,
                offset,
                len(packed.about),
                zlib.crc32(packed.about),
                len(packed.flac),
                len(packed.pictures),
                clip.duration_s,
                clip.split,
                clip.set,
                clip.group,
            )
        )

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self.hash.hexdigest()
