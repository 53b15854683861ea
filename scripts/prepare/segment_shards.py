"""Pack segments of talks into tars for random access.

A segment is two members with one key: KEY.flac (its sound, 16 bit) and KEY.json (id, speaker, texts). WebDataset can
read the tars, too. A complete tar is never written again.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import torch

from mmpt.midtrain.corpus import read_table, write_table
from mmpt.midtrain.segments import Segment, read_wav
from mmpt.scripts.prepare.pcm import to_flac
from mmpt.scripts.prepare.shard_making import new_pool
from mmpt.upstream.files import replacing
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.progress import Progress

HEADER = tarfile.BLOCKSIZE  # a member's content begins one block after its header


def plan_shards(segments: list[Segment], hours: float) -> list[list[Segment]]:
    """Return the segments of each tar, in order; a tar is full as soon as it has `hours` of sound."""
    plan: list[list[Segment]] = []
    samples = 0
    for segment in segments:
        if not plan or samples >= hours * 3600 * SAMPLE_RATE:
            plan.append([])
            samples = 0
        plan[-1].append(segment)
        samples += segment.samples
    return plan


def pack_split(name: str, segments: list[Segment], folder: Path, hours: float, jobs: int) -> list[Segment]:
    """Write the tars of a split that are missing; return its segments as they lie in the tars.

    Raises:
        InputError: a segment is unreadable.
    """
    plan = {folder / f"{name}-{number:05d}.tar": part for number, part in enumerate(plan_shards(segments, hours))}
    with Progress(total=len(segments), unit="segment", desc=f"packing {name}", dynamic_ncols=True) as bar:
        for path, part in plan.items():
            bar.update(len(part) if is_whole(path) else 0)
        for part in written({path: part for path, part in plan.items() if not is_whole(path)}, jobs):
            bar.update(len(part))
    return [segment for path in plan for segment in read_table(table_of(path))]


def written(todo: dict[Path, list[Segment]], jobs: int) -> Iterator[list[Segment]]:
    """Write tars, each in one of `jobs` processes; yield the segments of each finished tar."""
    if jobs == 1 or len(todo) < 2:
        for path, part in todo.items():
            write_shard(path, part)
            yield part
        return
    pool = new_pool(jobs)
    try:
        futures: dict[Future, list[Segment]] = {
            pool.submit(write_shard, path, part): part for path, part in todo.items()
        }
        for future, part in futures.items():
            future.result()
            yield part
    finally:
        pool.shutdown(cancel_futures=True)


def write_shard(path: Path, segments: list[Segment]) -> None:
    """Write one tar, then the table of where its segments lie."""
    torch.set_num_threads(1)
    placed = []
    with (
        replacing(path, sync=True) as temporary,
        tarfile.open(temporary, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for number, segment in enumerate(segments):
            flac, key = to_flac(read_wav(segment).numpy()), f"{path.stem}-{number:06d}"
            about = {"id": segment.id, "speaker": segment.speaker, "source": segment.source, "target": segment.target}
            placed.append(replace(segment, audio=path, start=tar.offset + HEADER, flac_bytes=len(flac)))
            add(tar, f"{key}.flac", flac)
            add(tar, f"{key}.json", json.dumps(about, ensure_ascii=False).encode())
    write_table(table_of(path), placed)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a member to a tar."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def table_of(path: Path) -> Path:
    """Return the table beside a tar, which is written after the tar."""
    return path.with_suffix(".tsv")


def is_whole(path: Path) -> bool:
    """Return True if a tar and its table are complete."""
    return path.is_file() and table_of(path).is_file()
