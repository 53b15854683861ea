#!/usr/bin/env python3
"""How many clips a second one core reads for stage 1, from shards and from video files.

(a) Clips of 10 s: shards against decoding the mp4, the whole way of a training clip (10 s of sound, 16 pictures of 224 pixels).
(b) A clip of 10 s anywhere in a video of five minutes with a key frame every 2 s: going there against reading from the video's start.

One process, one thread. The two sides of a comparison take turns, clip by clip, so that what else the machine does meets both. The
media are synthetic (see synthetic_media.py) and lie in the page cache: disks and networks are not measured.
"""

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch

from mmpt.pretrain.clips import ClipDataset, ClipItem, Sampling
from mmpt.pretrain.manifest import Clip, read_manifest
from mmpt.pretrain.shard_index import read_index
from mmpt.scripts.benchmark.synthetic_media import repeat, write_video
from mmpt.scripts.prepare.shard_folder import ShardForm, make_shards
from mmpt.training.media import MediaStream
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

SAMPLING = Sampling(size=224, frames=16, stride=4, crop_min=0.5)
CLIPS, CLIP_S = 4, 10
CHUNK_S, CHUNKS, KEY_EVERY_S = 20, 15, 2  # of the long video
STARTS_S = (3.3, 77.7, 150.1, 212.9, 288.8)
EXAMPLES = """\
examples:
  python scripts/benchmark/clip_reading.py                                      some minutes, most of them making the media
  python scripts/benchmark/clip_reading.py --media /tmp/clips --rounds 20       keeps the media there for the next time
  python scripts/benchmark/clip_reading.py --media /tmp/clips --profile         and where the time goes
"""


@clean_exit
def main(argv: list[str] | None = None) -> int:
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--media", type=Path, metavar="DIR", help="where the synthetic media are kept (default: a temporary folder)"
    )
    p.add_argument(
        "--rounds", type=int, default=10, help="over all clips of (a); (b) takes a third (default: %(default)s)"
    )
    p.add_argument("--quality", type=int, default=85, help="of the shards' JPEG pictures (default: %(default)s)")
    p.add_argument("--profile", action="store_true", help="show where the time goes")
    options = p.parse_args(argv)
    if options.rounds < 1:
        raise InputError(f"--rounds must be at least 1, not {options.rounds}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.media or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        make_media(folder, options.quality)
        shards, files = (
            ClipDataset(clips, SAMPLING, seed=0, memory_gb=0)
            for clips in (read_index(shards_of(folder, options.quality)), read_manifest(folder / "manifest.tsv"))
        )
        describe(folder, shards)
        print(f"\n(a) clips of {CLIP_S} s: shards against mp4 files")
        compare({"shards": shards.__getitem__, "mp4": files.__getitem__}, range(CLIPS), options.rounds)
        print(
            f"\n(b) {CLIP_S} s out of {CHUNK_S * CHUNKS} s, key frame every {KEY_EVERY_S} s: going there against reading from the start"
        )
        clips = [
            Clip(f"at{start_s}", folder / "long.mp4", folder / "long.mp4", start_s, CLIP_S, "train", "synthetic", "g")
            for start_s in STARTS_S
        ]
        long = ClipDataset(clips, SAMPLING, seed=0, memory_gb=0)
        check_same_pictures(long)
        compare(
            {"going there": long.__getitem__, "from the start": from_the_start(long)},
            range(len(clips)),
            max(3, options.rounds // 3),
        )
        if options.profile:
            for name, dataset in (("shards", shards), ("mp4", files)):
                profile(name, dataset)
    return 0


def shards_of(folder: Path, quality: int) -> Path:
    return folder / f"shards_{quality}"


def make_media(folder: Path, quality: int) -> None:
    """What is not there yet."""
    lines = ["id\tvideo\taudio\tstart_s\tduration_s\tsplit\tset\tgroup"]
    for number in range(CLIPS):
        if not (folder / f"{number}.mp4").is_file():
            write_whole(folder / f"{number}.mp4", lambda path: write_video(path, CLIP_S, seed=number))
        lines.append(f"{number}\t{number}.mp4\t{number}.mp4\t0\t{CLIP_S}\ttrain\tsynthetic\tg")
    if not (folder / "long.mp4").is_file():
        write_whole(folder / "chunk.mp4", lambda path: write_video(path, CHUNK_S, seed=CLIPS, key_every_s=KEY_EVERY_S))
        write_whole(folder / "long.mp4", lambda path: repeat(folder / "chunk.mp4", path, CHUNKS))
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    make_shards(
        folder / "manifest.tsv",
        shards_of(folder, quality),
        ShardForm(short_side=256, quality=quality, clips_per_shard=500),
        fresh=False,
    )


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """A file under its name only when it is whole."""
    half = path.with_name(f"half_{path.name}")
    write(half)
    half.replace(path)


def describe(folder: Path, shards: ClipDataset) -> None:
    sizes = [(folder / f"{number}.mp4").stat().st_size for number in range(CLIPS)]
    packed = [clip.json_bytes + clip.audio_bytes + clip.picture_bytes for clip in shards.clips]
    print(
        f"{CLIPS} synthetic clips of {CLIP_S} s, 340x256, 30 pictures/s: mp4 {sum(sizes) / CLIPS / 1e6:.2f} MB a clip "
        f"({sum(sizes) * 8 / CLIPS / CLIP_S / 1e6:.2f} Mbit/s with sound), shards {sum(packed) / CLIPS / 1e6:.2f} MB"
    )


def compare(sides: dict[str, Callable], indices: range, rounds: int) -> None:
    """Reads every clip by each side in turn, and prints clips/s of each and the first one's ratio to the second, over the rounds."""
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
    print(
        f"  {name:32} min {min(values):7.2f}   median {median(values):7.2f}   max {max(values):7.2f}  {unit}   ({len(values)} rounds)"
    )


def from_the_start(dataset: ClipDataset) -> Callable:
    """Reading the same by a file that cannot seek."""

    def read(item):
        with patch.object(MediaStream, "seek", lambda stream, to_s: False):
            return dataset[item]

    return read


def check_same_pictures(dataset: ClipDataset) -> None:
    """Both ways lead to the same pictures; if not, nothing here means anything."""
    for index in range(len(dataset)):
        if not torch.equal(dataset[0, index].video, from_the_start(dataset)((0, index)).video):
            raise InputError(
                f"clip {dataset.clips[index].id}: seeking gives other pictures than reading from the start"
            )


def profile(name: str, dataset: ClipDataset) -> None:
    print(f"\n{name}: where the time of 10 clips goes")
    profiler = cProfile.Profile()
    profiler.enable()
    for epoch in range(10):
        dataset[epoch, epoch % len(dataset)]
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(12)


if __name__ == "__main__":
    sys.exit(main())
