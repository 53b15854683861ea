"""Reading clips: which moments are taken, what is drawn at random, and what is skipped."""

import dataclasses

import numpy
import pytest
import torch
from torch.utils.data import DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

from mmpt.pretrain.clip_batch import SkippedClip, collate
from mmpt.pretrain.clips import ClipDataset, Sampling, training_part
from mmpt.pretrain.manifest import read_manifest
from mmpt.training.media import MediaError
from mmpt.training.media_pictures import VideoFile
from mmpt.training.media_sound import decode_audio
from mmpt.upstream.errors import InputError

from helpers.clip_files import write_manifest

SAMPLING = Sampling(size=16, frames=16, stride=4, crop_min=0.5)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    clips = [("long", 6.0, "train", "a"), ("short", 1.6, "train", "a"), ("held", 3.0, "dev", "b")]
    return write_manifest(tmp_path_factory.mktemp("clips"), clips)


def grey_frames(pictures) -> list[int]:
    """Which frames of the file pictures (H, W, 3) show, modulo 50: their grey counts them (see clip_files)."""
    return [round(float(numpy.asarray(picture).mean()) / 5) for picture in pictures]


def test_long_clip_takes_every_fourth_frame(manifest):
    dataset = ClipDataset(read_manifest(manifest), SAMPLING, seed=0, memory_gb=0)
    frames = grey_frames(dataset[None, 0].video)
    assert [(b - a) % 50 for a, b in zip(frames, frames[1:])] == [4] * 15
    assert frames[0] == (150 - 61) // 2
    assert len({grey_frames(dataset[epoch, 0].video)[0] for epoch in range(8)}) > 4


def test_short_clip_spreads_its_frames(manifest):
    dataset = ClipDataset(read_manifest(manifest), SAMPLING, seed=0, memory_gb=0)
    frames = grey_frames(dataset[3, 1].video)
    assert frames[0] == 0 and frames[-1] == 39
    assert all(2 <= b - a <= 3 for a, b in zip(frames, frames[1:]))


def test_clips_kept_in_memory_are_the_same(manifest):
    clips = read_manifest(manifest)
    plain, kept = (ClipDataset(clips, SAMPLING, seed=5, memory_gb=gb) for gb in (0, 1))
    kept.fill_memory(threads=2)
    for item in [(0, 0), (1, 0), (0, 1), (None, 2)]:
        ours, reference = kept[item], plain[item]
        assert torch.equal(ours.wav, reference.wav) and torch.equal(ours.video, reference.video)


def test_draws_depend_on_seed_epoch_and_name(manifest):
    clips = read_manifest(manifest)
    video = ClipDataset(clips, SAMPLING, seed=1, memory_gb=0)[2, 0].video
    assert torch.equal(ClipDataset(clips[::-1], SAMPLING, seed=1, memory_gb=0)[2, 2].video, video)
    assert not torch.equal(ClipDataset(clips, SAMPLING, seed=2, memory_gb=0)[2, 0].video, video)


def test_part_of_a_file_begins_at_the_manifest_s_time(manifest):
    file = manifest.parent / "long.mp4"
    whole, part = decode_audio(file, 0.0, 6.0), decode_audio(file, 3.0, 1.5)
    assert whole.shape[0] == pytest.approx(6 * 16000, abs=1100)
    assert part.shape == (24000,)
    assert (
        part - whole[48000:72000]
    ).abs().max() < 1e-4  # from its first sample on: the decoder is given what comes before
    with VideoFile(file, 3.0) as video:
        frames, times = video.pictures(1.0, 48)
        assert times == pytest.approx([n / 25 for n in range(25)], abs=1e-6)
        assert grey_frames(frames) == list(range(25, 50))
        assert grey_frames(video.pictures_at([0.0, 0.039, 0.04, 0.5, 0.519, 2.9], 48)) == [25, 25, 26, 37, 37, 47]


def test_batch_holds_all_waveforms_in_one_tensor(manifest):
    dataset = ClipDataset(read_manifest(manifest), SAMPLING, seed=0, memory_gb=0)
    bad = SkippedClip("bad", "why", epoch=3)
    items = [dataset[3, 1], bad, dataset[3, 0]]
    batch = collate(items)
    assert len(batch) == 2 and batch.ids == ["short", "long"] and batch.groups == ["a", "a"]
    assert batch.epoch == 3 and batch.skipped == [bad]
    assert batch.joined.dtype == torch.float32 and batch.layout.samples == [len(items[0].wav), len(items[2].wav)]
    assert all(torch.equal(wav, item.wav) for wav, item in zip(batch.wavs, [items[0], items[2]], strict=True))
    assert batch.wavs[1].untyped_storage().data_ptr() == batch.joined.untyped_storage().data_ptr()
    assert batch.video.shape == (2, 3, 16, 16, 16) and batch.video.dtype == torch.uint8
    assert torch.equal(batch.video[1], items[2].video.permute(3, 0, 1, 2))
    moved = batch.to("meta")
    assert moved.joined.device.type == moved.video.device.type == "meta" and moved.ids == batch.ids
    assert batch.joined.device.type == "cpu"


def test_a_batch_may_hold_no_clip():
    for items, epoch in [([SkippedClip("bad", "why", epoch=7)], 7), ([], None)]:
        batch = collate(items).to("cpu")
        assert len(batch) == 0 and batch.wavs == [] and batch.skipped == items and batch.epoch == epoch
        assert batch.joined.shape == (0,) and batch.video.shape[:2] == (0, 3) and batch.video.dtype == torch.uint8


def test_loader_pins_the_batch(manifest, monkeypatch):
    """Without a GPU nothing can be pinned: the tensors' own method is mocked."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor, *_: tensor + 1)
    batch = collate([ClipDataset(read_manifest(manifest), SAMPLING, seed=0, memory_gb=0)[0, 0]])
    samples, video = batch.joined, batch.video
    pinned = pin_memory(batch)  # what DataLoader's pinning thread calls
    assert pinned is batch and torch.equal(batch.joined, samples + 1) and torch.equal(batch.video, video + 1)


@pytest.mark.slow
def test_workers_read_what_one_process_reads(manifest):
    dataset = ClipDataset(read_manifest(manifest), SAMPLING, seed=0, memory_gb=0)
    order = [[(2, 0), (2, 1)], [(None, 2)]]
    loader = DataLoader(dataset, batch_sampler=order, collate_fn=collate, num_workers=2)
    for ours, items in zip(loader, order, strict=True):
        reference = collate([dataset[item] for item in items])
        assert (
            ours.ids == reference.ids
            and torch.equal(ours.joined, reference.joined)
            and torch.equal(ours.video, reference.video)
        )
        assert ours.video.stride() == reference.video.stride()


def test_no_picture_after_the_end(manifest):
    with pytest.raises(MediaError, match="no sound"):
        decode_audio(manifest.parent / "short.mp4", 60.0, 1.0)


def test_sound_can_be_cut_to_what_the_pictures_cover(manifest):
    clips = read_manifest(manifest)
    whole = ClipDataset(clips, SAMPLING, seed=0, memory_gb=0)
    for gb in (0, 1):
        cut = ClipDataset(clips, dataclasses.replace(SAMPLING, sound="pictures"), seed=0, memory_gb=gb)
        start = round((6.0 - 61 / 25) / 2 * 16000)
        assert torch.equal(cut[None, 0].wav, whole[None, 0].wav[start : start + round(64 / 25 * 16000)])
        assert torch.equal(cut[0, 1].wav, whole[0, 1].wav)  # shorter than its 16 pictures at their stride: all of it
        assert torch.equal(cut[0, 0].video, whole[0, 0].video)


def test_training_takes_the_named_sets_alone(manifest):
    clips = [dataclasses.replace(clip, set=f"set {clip.id}") for clip in read_manifest(manifest)]
    assert training_part(clips, (), manifest) == clips[:2]
    assert training_part(clips, ("set short",), manifest) == clips[1:2]
    with pytest.raises(InputError, match=r"no training clip of the set held; it has set long, set short"):
        training_part(clips, ("set long", "held"), manifest)
