"""Pack clips, each into three members of a tar (see mmpt.pretrain.shard_index), and write the tar."""

import hashlib
import io
import json
import signal
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import numpy
import torch
from PIL import Image

from mmpt.pretrain.file_reader import FileReader
from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.shard_index import ShardClip, padded
from mmpt.scripts.prepare.pcm import to_flac
from mmpt.training.media import MediaError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

FORMAT = 1  # of the shards: to be raised when they are written differently


@dataclass(frozen=True)
class Packed:
    """The contents of a clip's three members in a shard."""

    about: bytes  # JSON
    flac: bytes
    pictures: bytes  # JPEG files, one after another


def pack(clip: Clip, short_side: int, quality: int) -> Packed | str:
    """Return a clip's members, or why it is unreadable."""
    try:
        with FileReader(clip) as media:
            wav = media.audio()
            frames, times = media.pictures(short_side)
            rate = media.rate
    except MediaError as error:
        return str(error)
    flac = to_flac(wav.numpy())
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
        "audio_crc32": zlib.crc32(flac),
        "frame_times": times,
        "frame_bytes": [len(picture) for picture in pictures],
        "frame_crc32": [zlib.crc32(picture) for picture in pictures],
    }
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
    return Packed(text.encode(), flac, b"".join(pictures))


def jpeg(picture: numpy.ndarray, quality: int) -> bytes:
    """Return a picture (H, W, 3) as JPEG.

    It uses the standard's Huffman tables: optimised ones would save 6 % of the bytes and take two thirds more time.
    """
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def packed_clips(
    clips: Iterable[Clip], jobs: int, short_side: int, quality: int
) -> Generator[Packed | str, None, None]:
    """Pack every clip, in order, in `jobs` processes (1: in this one)."""
    work = partial(pack, short_side=short_side, quality=quality)
    if jobs == 1:
        yield from map(work, clips)
    else:
        yield from in_order(work, clips, jobs)


def in_order(work: Callable[[Clip], Packed | str], clips: Iterable[Clip], jobs: int) -> Iterator[Packed | str]:
    """Map over processes, with few results waiting at a time. A clip that kills its process counts as unreadable."""
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
            except BrokenProcessPool:  # one of the waiting clips broke it: each gets another process
                pool.shutdown(cancel_futures=True)
                for suspect in [clip, *(other for other, _ in waiting)]:
                    yield alone(work, suspect)
                waiting.clear()
                pool = new_pool(jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def new_pool(processes: int) -> ProcessPoolExecutor:
    """Return processes forked from a server that has imported this module: they start fast, and without our threads."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(processes, mp_context=context, initializer=start_process)


def start_process() -> None:
    """Prepare a new process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; only the parent reports it
    torch.set_num_threads(1)  # there are as many processes as cores


def alone(work: Callable[[Clip], Packed | str], clip: Clip) -> Packed | str:
    """Do the work on one clip in a process that may die of it."""
    with new_pool(1) as pool:
        try:
            return pool.submit(work, clip).result()
        except BrokenProcessPool:
            return "its decoder killed the process (a crash, or the memory ran out)"


class ShardWriter:
    """Write one tar.

    Args:
        path: the name that the tar will have.
        file: the open file to write it to.

    Attributes:
        clips: the clips so far, as the index lists them.
        size: bytes so far.
    """

    def __init__(self, path: Path, file: BinaryIO):
        self.path = path
        self.file = file
        self.size = 0
        self.hash = hashlib.sha256()
        self.clips: list[ShardClip] = []

    def finish(self) -> None:
        """Write the end of the tar."""
        self.write(bytes(2 * tarfile.BLOCKSIZE))

    def add(self, clip: Clip, packed: Packed) -> None:
        """Append a clip. Its key is its number in the shard: WebDataset would split an id at dots and slashes."""
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
        """Append bytes."""
        self.file.write(data)
        self.hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """Checksum of what was written."""
        return self.hash.hexdigest()
