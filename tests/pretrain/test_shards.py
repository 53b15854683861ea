"""Clips in shards: they equal their source files, only wanted bytes are read, and damage is a reason to skip."""

import io
import json
import os
import re
import shutil
import zlib
from pathlib import Path

import av
import numpy
import pytest
import torch
import webdataset
from torch.utils.data import DataLoader

from mmpt.pretrain.clip_batch import SkippedClip, collate
from mmpt.pretrain.clips import ClipDataset, Sampling
from mmpt.pretrain.manifest import read_manifest
from mmpt.pretrain.shard_index import read_index
from mmpt.pretrain.shard_reader import ShardReader
from mmpt.upstream.errors import InputError

from helpers.shard_folders import write_clips, write_shards

SAMPLING = Sampling(size=64, frames=16, stride=4, crop_min=0.5)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def shards(manifest, tmp_path_factory) -> Path:
    return write_shards(manifest, tmp_path_factory.mktemp("shards") / "shards")


@pytest.fixture
def copy(shards, tmp_path) -> Path:
    """Shards to damage."""
    return Path(shutil.copytree(shards, tmp_path / "copy"))


def dataset(clips, memory_gb=0.0, sampling=SAMPLING) -> ClipDataset:
    return ClipDataset(clips, sampling, seed=3, memory_gb=memory_gb)


def test_index_has_the_clips_of_the_manifest(manifest, shards):
    clips, sources = read_index(shards), read_manifest(manifest)
    names = ("id", "duration_s", "split", "set", "group")
    assert [[getattr(clip, name) for name in names] for clip in clips] == [
        [getattr(clip, name) for name in names] for clip in sources
    ]
    assert sorted({clip.shard.name for clip in clips}) == [
        "dev-000000.tar",
        "test-000000.tar",
        "train-000000.tar",
        "train-000001.tar",
    ]
    assert clips[0].shard is clips[1].shard and clips[0].set is clips[3].set  # what a million clips share is there once
    assert not hasattr(clips[0], "__dict__")


@pytest.mark.parametrize("size", [64, 224])
def test_a_clip_equals_the_one_of_its_files(manifest, shards, size):
    """Moments, crop and flip are equal (the next picture would differ by 4); JPEG and 16 bit differ by less."""
    sampling = Sampling(size, 16, 4, 0.5)
    packed, files = (dataset(clips, sampling=sampling) for clips in (read_index(shards), read_manifest(manifest)))
    for index in range(len(packed)):
        for epoch in (None, 0, 1, 2, 3) if size == 64 else (None, 7):
            ours, reference = packed[epoch, index], files[epoch, index]
            assert (ours.id, ours.epoch, ours.group) == (reference.id, epoch, reference.group)
            assert ours.video.shape == reference.video.shape == (16, size, size, 3)
            difference = (ours.video.float() - reference.video.float()).abs()
            assert difference.mean(dim=(1, 2, 3)).max() < 1.5 and difference.max() < 16
            assert ours.wav.dtype == torch.float32 and ours.wav.shape == reference.wav.shape
            assert (ours.wav - reference.wav).abs().max() <= 1.001 / 32768  # half a step, and a whole one at 1.0


def test_the_comparison_can_fail(manifest, shards):
    """Another draw of moment, crop or flip differs by more than the tolerance above."""
    packed, files = dataset(read_index(shards)), dataset(read_manifest(manifest))
    for index in range(4):
        differences = [
            (packed[0, index].video.float() - files[epoch, index].video.float()).abs().mean(dim=(1, 2, 3)).max()
            for epoch in range(1, 5)
        ]
        assert min(differences) > 1.5


def test_clips_kept_in_memory_are_the_same(shards):
    clips = read_index(shards)
    plain, kept = dataset(clips), dataset(clips, memory_gb=1)
    kept.fill_memory(threads=2)
    assert len(kept.kept) == len(clips)
    for item in [(0, 0), (4, 1), (None, 2), (1, 3), (2, 4)]:
        assert torch.equal(kept[item].wav, plain[item].wav) and torch.equal(kept[item].video, plain[item].video)


@pytest.mark.slow
def test_workers_read_what_one_process_reads(shards):
    clips = dataset(read_index(shards))
    clips[0, 0]  # read before the workers are forked
    order = [[(1, 0), (1, 4)], [(1, 3), (1, 1)], [(1, 2), (1, 5)]]
    for batch, items in zip(
        DataLoader(clips, batch_sampler=order, collate_fn=collate, num_workers=2), order, strict=True
    ):
        reference = collate([clips[item] for item in items])
        assert (
            batch.ids == reference.ids
            and torch.equal(batch.joined, reference.joined)
            and torch.equal(batch.video, reference.video)
        )
    assert not [
        handle
        for handle in Path("/proc/self/fd").iterdir()
        if handle.is_symlink() and os.path.realpath(handle).endswith(".tar")
    ]


def test_only_wanted_bytes_are_read(shards, monkeypatch):
    clips = read_index(shards)
    read, pread = [], os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, offset: read.append(size) or pread(file, size, offset))
    dataset(clips)[0, 0]
    clip = clips[0]
    assert len(read) == 17 and sum(read[1:]) == pytest.approx(clip.picture_bytes * 16 / 250, rel=0.2)


def test_webdataset_reads_the_shards(manifest, shards):
    urls = [str(path) for path in sorted(shards.glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    sources = {clip.id: clip for clip in read_manifest(manifest)}
    assert sorted(sample["json"]["id"] for sample in samples) == sorted(sources)
    assert len({sample["__key__"] for sample in samples}) == len(samples)
    for sample in samples:
        about = sample["json"]
        assert about["split"] == sources[about["id"]].split and len(about["frame_times"]) == len(about["frame_bytes"])
        assert sum(about["frame_bytes"]) == len(sample["mjpeg"]) and zlib.crc32(sample["flac"]) == about["audio_crc32"]
        with av.open(io.BytesIO(sample["mjpeg"]), format="mjpeg") as film:  # a player shows the pictures
            shown = list(film.decode(video=0))
        assert len(shown) == len(about["frame_times"]) and (shown[0].height, shown[0].width) == (
            about["height"],
            about["width"],
        )


def test_pictures_are_scaled_down_and_never_up(shards):
    sizes = {}
    for clip in read_index(shards):
        with ShardReader(clip) as media:
            sizes[clip.id] = (media.about["height"], media.about["width"], media.pictures_at([0.0], 100)[0].shape)
            assert media.audio().shape == (media.about["samples"],)
            assert len(media.pictures(100)[0]) == len(media.about["frame_times"])
    assert sizes["large"] == (256, 341, (100, 133, 3)) and sizes["long"] == (48, 64, (48, 64, 3))


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))


@pytest.mark.parametrize(
    "part, reason",
    [
        ("json", "shard train-000000.tar: damaged, the JSON"),
        ("flac", "shard train-000000.tar: damaged, the sound"),
        ("pictures", r"shard train-000000.tar: damaged, picture \d+"),
        ("cut", "shard train-000000.tar: cut off"),
        ("gone", "shard train-000000.tar: No such file"),
        ("other", "shard train-000000.tar: (damaged|cut off)"),
    ],
)
def test_damage_is_a_skipped_clip_with_its_reason(copy, part, reason):
    clips = read_index(copy)
    clip, path = clips[0], clips[0].shard
    if part == "json":
        flip(path, clip.offset + 30)
    elif part == "flac":
        flip(path, clip.audio_offset + clip.audio_bytes // 2)
    elif part == "pictures":
        for offset in range(clip.picture_offset, clip.picture_offset + clip.picture_bytes, 200):
            flip(path, offset)
    elif part == "cut":
        os.truncate(path, clip.audio_offset + 1000)
    elif part == "gone":
        path.unlink()
    elif part == "other":
        shutil.copy(copy / "train-000001.tar", path)
    item = dataset(clips)[1, 0]
    assert isinstance(item, SkippedClip) and item.id == "long" and item.epoch == 1 and "\n" not in item.reason
    assert re.match(reason, item.reason)
    assert not isinstance(dataset(clips)[1, 3], SkippedClip)  # of another shard


def test_every_byte_of_a_clip_that_is_flipped_is_noticed(copy):
    """All pictures are read, so that none can hide."""
    clip = read_index(copy)[3]
    assert clip.id == "short"
    sound = dataset([clip], memory_gb=1)[0, 0]
    for offset in (
        numpy.linspace(0, clip.picture_offset + clip.picture_bytes - clip.offset - 1, 60).astype(int).tolist()
    ):
        header = any(
            0 <= clip.offset + offset - (begin - 512) < 512 for begin in (clip.audio_offset, clip.picture_offset)
        )
        padding = any(
            end <= clip.offset + offset < begin - 512
            for end, begin in [
                (clip.offset + clip.json_bytes, clip.audio_offset),
                (clip.audio_offset + clip.audio_bytes, clip.picture_offset),
            ]
        )
        flip(clip.shard, clip.offset + offset)
        item = dataset([clip], memory_gb=1)[0, 0]
        assert isinstance(item, SkippedClip) or ((header or padding) and torch.equal(item.wav, sound.wav)), offset
        flip(clip.shard, clip.offset + offset)


def test_index_of_other_shards_is_noticed(copy):
    """Same sizes and offsets, other clips."""
    clips = read_index(copy)
    with ShardReader(clips[0]) as media:
        about = json.dumps({**media.about, "id": "LONG"}, ensure_ascii=False, separators=(",", ":")).encode()
    with clips[0].shard.open("r+b") as file:
        file.seek(clips[0].offset)
        file.write(about)
    clips[0].json_crc32 = zlib.crc32(about)
    assert "clip LONG lies where the index lists long" in dataset(clips)[0, 0].reason


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda folder: (folder / "index.tsv").unlink(), "index.tsv: no such file"),
        (lambda folder: (folder / "index.tsv").write_text("id\tvideo\n"), "is not an index of shards"),
        (lambda folder: (folder / "index.tsv").write_bytes(b"\xff\xfe\x00"), "not UTF-8"),
        (lambda folder: (folder / "dev-000000.tar").unlink(), "dev-000000.tar: no such shard"),
        (
            lambda folder: (folder / "index.tsv").write_text((folder / "index.tsv").read_text()[:-40]),
            "line 7: does not fit",
        ),
        (
            lambda folder: (folder / "index.tsv").write_text((folder / "index.tsv").read_text().splitlines()[0] + "\n"),
            "lists no clip",
        ),
    ],
)
def test_bad_index_is_one_error(copy, change, complaint):
    change(copy)
    with pytest.raises(InputError, match=complaint) as error:
        read_index(copy)
    assert "\n" not in str(error.value)
