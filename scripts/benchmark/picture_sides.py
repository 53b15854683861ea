"""The sides of picture_libraries.py: ways to decode, crop and resize, and what they are compared in."""

import io
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy
import torch
import torchvision
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2.functional import horizontal_flip, resize

from mmpt.pretrain import shard_reader
from mmpt.pretrain.clip_batch import collate
from mmpt.pretrain.clips import ClipDataset, Sampling
from mmpt.pretrain.pictures import decode_picture, resized
from mmpt.pretrain.shard_index import read_index
from mmpt.pretrain.shard_reader import ShardReader
from mmpt.scripts.benchmark.synthetic_media import write_video
from mmpt.scripts.benchmark.timing import ratios, spread
from mmpt.scripts.prepare.shard_folder import ShardForm, make_shards
from mmpt.training.media_pictures import Converter, VideoFile

SIZES = (224, 112, 32)  # of training's pictures: the paper's, of one GPU, of the samples
SPARE = 1.25  # decoded pictures are so many times as large on the short side, if the source is
PICTURES, CLIPS, CLIP_S, QUALITY = 16, 4, 10, 85
DECODE = ShardReader.decode


class AvDecoder:
    """FFmpeg's decoder, with a scaler that is set up once."""

    def __init__(self, short_side: int):
        self.decoder = av.CodecContext.create("mjpeg", "r")
        self.decoder.thread_count = 1
        self.convert = Converter(short_side)

    def __call__(self, jpeg: bytes) -> numpy.ndarray:
        return self.convert(self.decoder.decode(av.Packet(jpeg))[0])


def decode_shard_with_av(reader: ShardReader, numbers: Iterable[int], short_side: int) -> list[numpy.ndarray]:
    """In place of ShardReader.decode: the same by FFmpeg."""
    decode = AvDecoder(short_side)
    with patch.object(shard_reader, "decode_picture", lambda jpeg, _: decode(jpeg)):
        return DECODE(reader, numbers, short_side)


def crop_with_torch(pictures: list[numpy.ndarray], size: int) -> Tensor:
    """Return the same crop of each picture, resized and flipped as training does: (T, size, size, 3)."""
    return resized(cut(pictures), size, size).flip(-1).permute(0, 2, 3, 1)


def crop_with_torchvision(pictures: list[numpy.ndarray], size: int) -> Tensor:
    """Do the same by torchvision's functions."""
    return horizontal_flip(resize(cut(pictures), [size, size])).permute(0, 2, 3, 1)


def cut(pictures: list[numpy.ndarray]) -> Tensor:
    """Return a square of each picture, (T, 3, side, side) with channels last in memory."""
    height, width, _ = pictures[0].shape
    side, top, left = round(0.85 * height), height // 10, width // 10
    return torch.from_numpy(numpy.stack([p[top : top + side, left : left + side] for p in pictures])).permute(
        0, 3, 1, 2
    )


def measure(rounds: int, workers: list[int]) -> None:
    """Print all comparisons."""
    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}; medians (least to most) of {rounds} rounds"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = make_pictures(folder)
        for size in SIZES:
            compare_decoders(files, round(size * SPARE), rounds)
        for size in SIZES:
            compare_crops([decode_picture(file, round(size * SPARE)) for file in files], size, rounds)
        make_clips(folder)
        for number in workers:
            compare_readers(folder / "shards", number, max(3, rounds // 4))


def make_pictures(folder: Path) -> list[bytes]:
    """Return pictures of a synthetic video as JPEG, 340x256 as shards keep them."""
    write_video(folder / "pictures.mp4", 2, seed=0)
    with VideoFile(folder / "pictures.mp4") as video:
        pictures = video.pictures(2, 256)[0][::3][:PICTURES]
    files = [io.BytesIO() for _ in pictures]
    for picture, file in zip(pictures, files, strict=True):
        Image.fromarray(picture).save(file, "JPEG", subsampling="4:2:0", quality=QUALITY)
    return [file.getvalue() for file in files]


def compare_decoders(files: list[bytes], short_side: int, rounds: int) -> None:
    """Print times of decoding the pictures, and how far their values differ."""

    def by_av() -> list[numpy.ndarray]:
        decode = AvDecoder(short_side)
        return [decode(file) for file in files]

    def by_torchvision() -> list[numpy.ndarray]:
        return [decode_picture(file, short_side) for file in files]

    title = f"decode {len(files)} JPEG, short side at most {short_side}"
    first, second = in_turn(title, {"PyAV": by_av, "torchvision": by_torchvision}, rounds)
    difference = numpy.abs(numpy.stack(first).astype(int) - numpy.stack(second))
    print(f"  values differ by {difference.mean():.2f} of 255 on average, by {difference.max()} at most")


def compare_crops(pictures: list[numpy.ndarray], size: int, rounds: int) -> None:
    """Print times of cropping, resizing and flipping, and whether the bits are the same."""
    sides = {
        "torch": lambda: crop_with_torch(pictures, size),
        "torchvision": lambda: crop_with_torchvision(pictures, size),
    }
    first, second = in_turn(f"crop, resize, flip {len(pictures)} pictures to {size}", sides, rounds)
    print(f"  same bits: {torch.equal(first, second)}")


def in_turn(title: str, sides: dict[str, Callable], rounds: int, clock: Callable = time.process_time) -> list:
    """Time the two sides in turn, print times and ratio, and return what they gave last."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, Any] = {}
    for number in range(rounds + 1):  # the first one warms up
        for name in list(sides) if number % 2 else reversed(sides):
            started = clock()
            results[name] = sides[name]()
            times[name] += [clock() - started] if number else []
    (other, others), (ours, own) = times.items()
    print(title)
    for name, taken in times.items():
        print(f"  {name:12} {spread([1e3 * seconds for seconds in taken])} ms")
    print(f"  {ours} over {other}: {spread(ratios(own, others))}", flush=True)
    return [results[name] for name in sides]


def make_clips(folder: Path) -> None:
    """Pack synthetic clips into shards."""
    lines = ["id\tvideo\taudio\tstart_s\tduration_s\tsplit\tset\tgroup"]
    for number in range(CLIPS):
        write_video(folder / f"{number}.mp4", CLIP_S, seed=number)
        lines.append(f"{number}\t{number}.mp4\t{number}.mp4\t0\t{CLIP_S}\ttrain\tsynthetic\tg")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    make_shards(folder / "manifest.tsv", folder / "shards", ShardForm(256, QUALITY, clips_per_shard=500))


def compare_readers(shards: Path, workers: int, rounds: int) -> None:
    """Print times of reading clips from shards as training does, with each decoder."""
    dataset = ClipDataset(read_index(shards) * 2, Sampling(224, PICTURES, 4, 0.5), seed=0, memory_gb=0)
    batches = [[(epoch, index) for index in range(len(dataset))] for epoch in range(2)]

    def read() -> int:
        loader = DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers)
        return sum(len(batch.ids) for batch in loader)

    def read_with_av() -> int:
        with patch.object(ShardReader, "decode", decode_shard_with_av):
            return read()

    clips = len(batches) * len(dataset)
    title = f"read {clips} clips from shards, {workers} DataLoader workers (elapsed time)"
    in_turn(title, {"PyAV": read_with_av, "torchvision": read}, rounds, time.perf_counter)
