"""Pictures that the main process decodes: the same pixels as a worker's, and the same clips are skipped.

Without a GPU, the same code decodes on the processor.
"""

import dataclasses
import json
import shutil
import zlib
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torchvision.io import decode_jpeg

from mmpt.pretrain import jpeg_pictures, task
from mmpt.pretrain.clip_batch import ClipItem, SkippedClip, collate
from mmpt.pretrain.clips import ClipDataset, Sampling, decoded_items
from mmpt.pretrain.jpeg_pictures import require_decoder
from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import PretrainSettings, VideoSettings
from mmpt.pretrain.shard_index import ShardClip, padded, read_index
from mmpt.pretrain.shard_reader import ShardReader
from mmpt.pretrain.task import AudioVisualTask
from mmpt.training.distributed import World
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import load_settings
from mmpt.upstream.errors import InputError

from helpers.shard_folders import write_clips, write_shards

CPU = torch.device("cpu")
ITEMS = [(None, 4), (0, 0), (1, 1), (2, 2), (3, 3), (5, 4), (6, 5)]  # epoch, clip


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("jpeg")
    return write_shards(write_clips(folder / "clips"), folder / "shards")


@pytest.fixture
def copy(shards, tmp_path) -> Path:
    """Shards to damage."""
    return Path(shutil.copytree(shards, tmp_path / "copy"))


def both_ways(clips, size: int, means_of: VideoSettings | None = None) -> tuple[ClipDataset, ClipDataset]:
    """Return clips whose pictures workers decode, and the same ones left as files."""
    sampling = Sampling(size, 16, 4, 0.5, means_of=means_of)
    samplings = sampling, dataclasses.replace(sampling, decodes=False)
    decoded, files = (ClipDataset(clips, one, seed=3, memory_gb=0) for one in samplings)
    return decoded, files


@pytest.mark.parametrize("size", [64, 208, 224])
def test_pixels_are_those_of_a_worker(shards, size, monkeypatch):
    """Some pictures are scaled down before they are cropped, others are not; and batches are decoded in parts."""
    monkeypatch.setattr(jpeg_pictures, "CLIPS_AT_ONCE", 3)
    decoded, files = both_ways(read_index(shards), size)
    batch = collate([files[item] for item in ITEMS])
    assert batch.video.shape == (0, 3, 0, 0, 0) and batch.jpegs is not None
    for item, ours in zip(ITEMS, decoded_items(batch, CPU, files.sampling), strict=True):
        reference = decoded[item]
        assert isinstance(ours, ClipItem) and (ours.id, ours.group) == (reference.id, reference.group)
        assert torch.equal(ours.video, reference.video) and torch.equal(ours.wav, reference.wav)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("size", [64, 224])
def test_pixels_of_a_gpu_are_nearly_those_of_a_worker(shards, size):
    """Its decoder and its resizing round differently."""
    require_decoder(torch.device("cuda"))
    decoded, files = both_ways(read_index(shards), size)
    batch = collate([files[item] for item in ITEMS])
    for item, ours in zip(ITEMS, decoded_items(batch, torch.device("cuda"), files.sampling), strict=True):
        difference = (ours.video.cpu().float() - decoded[item].video.float()).abs()
        assert ours.video.is_cuda and difference.mean() < 1.5 and difference.max() < 16


def test_the_gpu_s_decoder_never_gets_memory_that_is_in_use(shards, monkeypatch):
    """The memory is that of one stream, which is idle whenever the decoder starts; the update's waits for it."""
    order, recorded = [], []

    class Stream:
        def __init__(self, name):
            self.name = name

        def synchronize(self):
            order.append(f"{self.name} is awaited")

        def wait_stream(self, other):
            order.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def inside(stream):
        order.append(f"on {stream.name}")
        yield
        order.append("back")

    def decoded(files, mode, device):
        order.append("decoder")
        return decode_jpeg(files, mode)

    monkeypatch.setattr(jpeg_pictures, "decoding_stream", lambda device: Stream("its own"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("the update's"))
    monkeypatch.setattr(torch.cuda, "stream", inside)
    monkeypatch.setattr(jpeg_pictures, "decode_jpeg", decoded)
    monkeypatch.setattr(jpeg_pictures, "CLIPS_AT_ONCE", 2)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: recorded.append((tensor, stream.name)))
    decoded_clips, files = both_ways(read_index(shards), 64)
    batch = collate([files[item] for item in ITEMS[:3]])
    found = decoded_items(batch, torch.device("cuda"), files.sampling)
    once = ["its own is awaited", "on its own", "decoder", "back", "the update's waits for its own"]
    assert order == 2 * once
    assert len(recorded) == len(found) == 3 and {name for _, name in recorded} == {"the update's"}
    for item, ours in zip(ITEMS, found):
        assert torch.equal(ours.video, decoded_clips[item].video)


def test_means_are_those_of_a_worker(shards):
    decoded, files = both_ways(read_index(shards), 64, VideoSettings(size=64))
    for item, ours in zip(ITEMS, decoded_items(collate([files[item] for item in ITEMS]), CPU, files.sampling)):
        assert torch.equal(ours.video, decoded[item].video)


def test_files_are_sent_in_one_tensor(shards):
    _, files = both_ways(read_index(shards), 224)
    items = [files[item] for item in ITEMS]
    batch = collate(items).jpegs
    assert len(batch.data) == sum(batch.lengths) and len(batch.lengths) == 16 * len(ITEMS)
    for ours, item in zip(batch.split(), items, strict=True):
        assert (ours.size, ours.crop) == (item.video.size, item.video.crop)
        assert all(torch.equal(*pair) for pair in zip(ours.files, item.video.files, strict=True))


def damage(clip: ShardClip, **about) -> None:
    """Write broken pictures, as an unsound encoder would have: checksums fit. Or write other entries of the JSON."""
    with ShardReader(clip) as media:
        found = dict(media.about)
    with clip.shard.open("r+b") as file:
        if not about:
            broken = [b"\xff\xd8" + bytes(size - 2) for size in found["frame_bytes"]]
            file.seek(clip.picture_offset)
            file.write(b"".join(broken))
            about = {"frame_crc32": list(map(zlib.crc32, broken))}
        text = json.dumps({**found, **about}, ensure_ascii=False, separators=(",", ":")).encode()
        text = text.ljust(clip.json_bytes)
        assert padded(len(text)) == padded(clip.json_bytes)
        file.seek(clip.offset)
        file.write(text)
    clip.json_bytes, clip.json_crc32 = len(text), zlib.crc32(text)


def test_a_broken_picture_costs_its_clip_alone(copy):
    clips = read_index(copy)
    damage(clips[1])
    decoded, files = both_ways(clips, 64)
    assert isinstance(decoded[0, 1], SkippedClip) and decoded[0, 1].reason.startswith("shard train-000000.tar: damaged")
    ours = decoded_items(collate([files[0, n] for n in range(3)]), CPU, files.sampling)
    assert [type(one) for one in ours] == [ClipItem, SkippedClip, ClipItem]
    assert ours[1].id == clips[1].id and ours[1].epoch == 0 and ours[1].reason.startswith("damaged (")
    assert "\n" not in ours[1].reason and all(torch.equal(ours[n].video, decoded[0, n].video) for n in (0, 2))


def test_pictures_of_another_size_than_told_are_damaged(copy):
    clips = read_index(copy)
    damage(clips[0], height=46)
    _, files = both_ways(clips, 64)
    (item,) = decoded_items(collate([files[0, 0]]), CPU, files.sampling)
    assert item.reason == "damaged (a picture is not of 46 x 64 pixels)"


def test_a_file_that_a_gpu_refuses_is_decoded_by_the_processor(shards, monkeypatch):
    decoded, files = both_ways(read_index(shards), 64)
    decode = jpeg_pictures.decode_jpeg

    def refuse_lists(files, *options):
        if isinstance(files, list):
            raise RuntimeError("nvjpegDecode failed")
        return decode(files, *options)

    monkeypatch.setattr(jpeg_pictures, "decode_jpeg", refuse_lists)
    ours = decoded_items(collate([files[item] for item in ITEMS]), CPU, files.sampling)
    assert all(torch.equal(one.video, decoded[item].video) for one, item in zip(ours, ITEMS, strict=True))


def settings_of(*options: str) -> PretrainSettings:
    few = ["data.batch_size=2", "data.memory_gb=0", "data.max_bad_share=0.5", "device=cpu", "video.size=64"]
    return load_settings(PretrainSettings, CONFIGS / "samples.yaml", [*few, "data.decode=gpu", *options])


@pytest.mark.parametrize("options", [["objective=clr"], ["objective=mae"], ["objective=mae", "optim.accumulate=2"]])
def test_a_run_gets_the_same_batches(copy, tmp_path, options, monkeypatch):
    """A broken clip is left out of its batch, and replaced if it was alone there."""
    clips = read_index(copy)
    damage(clips[1])
    clips[5].split = "dev"
    monkeypatch.setattr(task, "read_clips", lambda _: clips)
    monkeypatch.setattr(task, "require_decoder", lambda device: None)
    ours, reference = (
        AudioVisualTask(settings_of(*options, f"data.decode={name}"), copy, RunFolder(tmp_path / name), World())
        for name in ("gpu", "cpu")
    )
    for batch, expected in zip(ours.batches(0, 0), reference.batches(0, 0), strict=True):
        assert batch.clips.ids == expected.clips.ids and batch.clips.jpegs is None
        assert torch.equal(batch.clips.video, expected.clips.video)
        assert torch.equal(batch.clips.joined, expected.clips.joined)
        assert ours.counts(batch) == reference.counts(expected)
        if batch.masks:
            assert torch.equal(batch.masks.audio_seen, expected.masks.audio_seen)
    assert [name for name, _ in ours.skipped.drain()] == [clips[1].id] == [n for n, _ in reference.skipped.drain()]


def test_it_needs_shards_a_gpu_and_no_memory(shards, tmp_path):
    with pytest.raises(InputError, match=r"data.decode=gpu needs shards; scripts/prepare/shards.py makes them"):
        AudioVisualTask(settings_of(), shards / "index.tsv", RunFolder(tmp_path), World())
    with pytest.raises(InputError, match=r"data.decode=gpu needs a GPU, and this run is on cpu; use data.decode=cpu"):
        AudioVisualTask(settings_of(), shards, RunFolder(tmp_path), World())
    with pytest.raises(InputError, match=r"data.decode=gpu keeps no decoded pictures: it needs data.memory_gb=0"):
        settings_of("data.memory_gb=1")
    with pytest.raises(InputError, match=r"data.decode must be cpu or gpu, got tpu"):
        settings_of("data.decode=tpu")


def test_a_torchvision_without_nvjpeg_is_one_error(monkeypatch):
    def fail(*_):
        raise RuntimeError("decode_jpegs_cuda: torchvision not compiled with nvJPEG support\nmore")

    monkeypatch.setattr(jpeg_pictures, "decode_jpeg", fail)
    with pytest.raises(InputError, match=r"not compiled with nvJPEG support\); install a torchvision with nvJPEG"):
        require_decoder(torch.device("cuda"))
