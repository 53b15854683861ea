"""Two ways of reading the same clips, timed clip by clip in turn: shards and video files, and other pairs."""

import cProfile
import pstats
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

from mmpt.pretrain.clip_batch import ClipItem, SkippedClip
from mmpt.pretrain.clips import ClipDataset, Sampling
from mmpt.pretrain.manifest import Clip, read_manifest
from mmpt.pretrain.settings import VideoSettings
from mmpt.pretrain.shard_index import ShardClip, read_index
from mmpt.scripts.benchmark.synthetic_media import repeat, write_video
from mmpt.scripts.prepare.shard_folder import ShardForm, make_shards
from mmpt.training.media import MediaStream
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import replacing

SAMPLING = Sampling(size=224, frames=16, stride=4, crop_min=0.5)
CLIPS, CLIP_S = 4, 10
CHUNK_S, CHUNKS, KEY_EVERY_S = 20, 15, 2  # of the long video
STARTS_S = (3.3, 77.7, 150.1, 212.9, 288.8)


def benchmark(folder: Path, rounds: int, quality: int, with_profile: bool) -> None:
    """Make the media in a folder unless they are there, and print all comparisons.

    Args:
        folder: of the media.
        rounds: over all clips of (a).
        quality: of the shards' JPEG pictures.
        with_profile: also print where the time goes.
    """
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    make_media(folder, quality)
    shards = ClipDataset(read_index(shards_of(folder, quality)), SAMPLING, seed=0, memory_gb=0)
    files = ClipDataset(read_manifest(folder / "manifest.tsv"), SAMPLING, seed=0, memory_gb=0)
    describe(folder, shards)
    print(f"\n(a) clips of {CLIP_S} s: shards against mp4 files")
    compare({"shards": shards.__getitem__, "mp4": files.__getitem__}, range(CLIPS), rounds)

    print(f"\n(b) {CLIP_S} s out of {CHUNK_S * CHUNKS} s, key frame every {KEY_EVERY_S} s: seeking against reading on")
    film = folder / "long.mp4"
    clips = [Clip(f"at{start_s}", film, film, start_s, CLIP_S, "train", "synthetic", "g") for start_s in STARTS_S]
    long = ClipDataset(clips, SAMPLING, seed=0, memory_gb=0)
    check_same_pictures(long)
    sides = {"seeking": long.__getitem__, "from the start": from_the_start(long)}
    compare(sides, range(len(clips)), max(3, rounds // 3))
    compare_workers(folder, quality, rounds)
    if with_profile:
        for name, dataset in (("shards", shards), ("mp4", files)):
            profile(name, dataset)


def compare_workers(folder: Path, quality: int, rounds: int) -> None:
    """Compare what a worker may do with a clip of shards, and shards of smaller pictures."""
    video = VideoSettings()  # of the paper's sizes
    samplings = {
        "pictures": SAMPLING,
        "means of tubelets": replace(SAMPLING, means_of=video),
        "JPEG files": replace(SAMPLING, decodes=False),
    }
    large, small = (read_index(shards_of(folder, quality, short_side)) for short_side in (256, 224))
    ways = {name: ClipDataset(large, sampling, seed=0, memory_gb=0) for name, sampling in samplings.items()}
    for name in ("means of tubelets", "JPEG files"):
        print(f"\n(c) shards: a worker sends {name} against pictures")
        compare({name: ways[name].__getitem__, "pictures": ways["pictures"].__getitem__}, range(CLIPS), rounds)
    print("\n(d) shards of 224 pixels on the short side against 256")
    smaller = ClipDataset(small, SAMPLING, seed=0, memory_gb=0)
    compare({"224": smaller.__getitem__, "256": ways["pictures"].__getitem__}, range(CLIPS), rounds)


def shards_of(folder: Path, quality: int, short_side: int = 256) -> Path:
    """Return the folder of the shards."""
    return folder / (f"shards_{quality}" if short_side == 256 else f"shards_{quality}_{short_side}")


def make_media(folder: Path, quality: int) -> None:
    """Make the media that are not there yet."""
    lines = ["id\tvideo\taudio\tstart_s\tduration_s\tsplit\tset\tgroup"]
    for number in range(CLIPS):
        if not (folder / f"{number}.mp4").is_file():
            with replacing(folder / f"{number}.mp4") as path:
                write_video(path, CLIP_S, seed=number)
        lines.append(f"{number}\t{number}.mp4\t{number}.mp4\t0\t{CLIP_S}\ttrain\tsynthetic\tg")
    if not (folder / "long.mp4").is_file():
        with replacing(folder / "chunk.mp4") as path:
            write_video(path, CHUNK_S, seed=CLIPS, key_every_s=KEY_EVERY_S)
        with replacing(folder / "long.mp4") as path:
            repeat(folder / "chunk.mp4", path, CHUNKS)
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for short_side in (256, 224):
        make_shards(
            folder / "manifest.tsv",
            shards_of(folder, quality, short_side),
            ShardForm(short_side=short_side, quality=quality, clips_per_shard=500),
            fresh=False,
        )


def describe(folder: Path, shards: ClipDataset) -> None:
    """Print the sizes of the clips."""
    sizes = [(folder / f"{number}.mp4").stat().st_size for number in range(CLIPS)]
    clips = [clip for clip in shards.clips if isinstance(clip, ShardClip)]
    packed = [clip.json_bytes + clip.audio_bytes + clip.picture_bytes for clip in clips]
    print(
        f"{CLIPS} synthetic clips of {CLIP_S} s, 340x256, 30 pictures/s: mp4 {sum(sizes) / CLIPS / 1e6:.2f} MB a clip "
        f"({sum(sizes) * 8 / CLIPS / CLIP_S / 1e6:.2f} Mbit/s with sound), shards {sum(packed) / CLIPS / 1e6:.2f} MB"
    )


def compare(sides: dict[str, Callable], indices: range, rounds: int) -> None:
    """Read every clip by each side in turn; print the clips/s of each, and the first one's over the second's."""
    clocks = {"elapsed": time.perf_counter, "processor": time.process_time}
    taken = {(name, clock): [0.0] * rounds for name in sides for clock in clocks}
    for number in range(-1, rounds):  # the first one warms up
        for index in indices:
            for name, read in sides.items():
                before = {clock: now() for clock, now in clocks.items()}
                item = read((number + 1, index))
                for clock, now in clocks.items():
                    taken[name, clock][number] += (now() - before[clock]) * (number >= 0)
                if not isinstance(item, ClipItem):
                    raise InputError(f"{name}: {item.reason}")
    for clock in clocks:
        for name in sides:
            show(f"{name}, {clock} time", [len(indices) / s for s in taken[name, clock]], "clips/s")
        first, second = (taken[name, clock] for name in sides)
        show(f"ratio, {clock} time", [b / a for a, b in zip(first, second)], "x")


def show(name: str, values: list[float], unit: str) -> None:
    """Print how a value spreads over the rounds."""
    spread = f"min {min(values):7.2f}   median {median(values):7.2f}   max {max(values):7.2f}"
    print(f"  {name:32} {spread}  {unit}   ({len(values)} rounds)")


def from_the_start(dataset: ClipDataset) -> Callable[[tuple[int | None, int]], Any]:
    """Return a way to read the same from a file that cannot seek."""

    def read(item: tuple[int | None, int]) -> ClipItem | SkippedClip:
        with patch.object(MediaStream, "seek", lambda stream, to_s: False):
            return dataset[item]

    return read


def check_same_pictures(dataset: ClipDataset) -> None:
    """Raise InputError unless both ways give the same pictures; else the times would mean nothing."""
    for index in range(len(dataset)):
        sought, read_on = pictures_of(dataset[0, index]), pictures_of(from_the_start(dataset)((0, index)))
        if sought is None or read_on is None or not torch.equal(sought, read_on):
            raise InputError(f"clip {dataset.clips[index].id}: seeking gives other pictures than reading on")


def pictures_of(item: ClipItem | SkippedClip) -> torch.Tensor | None:
    """Return the pictures of a clip, if it could be read."""
    return item.video if isinstance(item, ClipItem) and isinstance(item.video, torch.Tensor) else None


def profile(name: str, dataset: ClipDataset) -> None:
    """Print where the time of reading goes."""
    print(f"\n{name}: where the time of 10 clips goes")
    profiler = cProfile.Profile()
    profiler.enable()
    for epoch in range(10):
        dataset[epoch, epoch % len(dataset)]
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(12)
