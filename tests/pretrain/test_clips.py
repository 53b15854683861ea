"""Reading clips: which moments are taken, what is drawn at random, and what is done about bad files."""

from pathlib import Path

import pytest
import torch

from clip_files import write_clip, write_manifest
from mmpt.pretrain.clips import ClipDataset, EpochBatches, Sampling, Skipped, collate
from mmpt.pretrain.manifest import Clip, read_manifest
from mmpt.pretrain.media import MediaError, VideoFile, decode_audio
from mmpt.upstream.errors import InputError

SAMPLING = Sampling(size=16, frames=16, stride=4, crop_min=0.5)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    clips = [("long", 6.0, "train", "a"), ("short", 1.6, "train", "a"), ("held", 3.0, "dev", "b")]
    return write_manifest(tmp_path_factory.mktemp("clips"), clips)


def grey_frames(video: torch.Tensor) -> list[int]:
    """Which frames of the file a clip shows, modulo 50: its grey counts them (see clip_files)."""
    return (video.float().mean(dim=(0, 2, 3)) / 5).round().int().tolist()


def test_long_clip_takes_every_fourth_frame(manifest):
    dataset = ClipDataset(read_manifest(manifest), SAMPLING, seed=0, memory_gb=0)
    _, centre, _ = dataset[None, 0]
    frames = grey_frames(centre)
    assert [(b - a) % 50 for a, b in zip(frames, frames[1:])] == [4] * 15
    assert frames[0] == (150 - 61) // 2
    assert len({grey_frames(dataset[epoch, 0][1])[0] for epoch in range(8)}) > 4


def test_short_clip_spreads_its_frames(manifest):
    dataset = ClipDataset(read_manifest(manifest), SAMPLING, seed=0, memory_gb=0)
    frames = grey_frames(dataset[3, 1][1])
    assert frames[0] == 0 and frames[-1] == 39
    assert all(2 <= b - a <= 3 for a, b in zip(frames, frames[1:]))


def test_memory_changes_nothing_but_speed(manifest):
    clips = read_manifest(manifest)
    plain, kept = (ClipDataset(clips, SAMPLING, seed=5, memory_gb=gb) for gb in (0, 1))
    kept.warm(threads=2)
    for item in [(0, 0), (1, 0), (0, 1), (None, 2)]:
        for ours, reference in zip(kept[item][:2], plain[item][:2]):
            assert torch.equal(ours, reference)


def test_draws_hang_on_seed_epoch_and_name(manifest):
    clips = read_manifest(manifest)
    video = ClipDataset(clips, SAMPLING, seed=1, memory_gb=0)[2, 0][1]
    assert torch.equal(ClipDataset(clips[::-1], SAMPLING, seed=1, memory_gb=0)[2, 2][1], video)
    assert not torch.equal(ClipDataset(clips, SAMPLING, seed=2, memory_gb=0)[2, 0][1], video)


def test_part_of_a_file_is_cut_where_the_manifest_says(manifest):
    file = manifest.parent / "long.mp4"
    whole, part = decode_audio(file, 0.0, 6.0), decode_audio(file, 3.0, 1.5)
    assert whole.shape[0] == pytest.approx(6 * 16000, abs=1100)
    assert part.shape == (24000,)
    assert (part - whole[48000:72000]).abs().mean() < 0.02 * whole.abs().mean()
    with VideoFile(file) as video:
        frames, times = video.decode(3.0, 4.0, 48)
    assert times[0].item() == pytest.approx(3.0) and len(frames) == 25
    assert (frames.float().mean(dim=(1, 2, 3)) / 5).round().int().tolist() == list(range(25, 50))


def test_unreadable_files_are_skipped_with_the_reason(tmp_path):
    write_clip(tmp_path / "silent.mp4", 1.0, 0, sound=False)
    write_clip(tmp_path / "blind.mp4", 1.0, 0, picture=False)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no media")
    names = ["silent", "blind", "empty", "text", "absent"]
    clips = [Clip(n, tmp_path / f"{n}.mp4", tmp_path / f"{n}.mp4", 0.0, 1.0, "train", "mock", "a") for n in names]
    dataset = ClipDataset(clips, SAMPLING, seed=0, memory_gb=0)
    batch = collate([dataset[0, i] for i in range(5)])
    assert batch.wavs == [] and [s.id for s in batch.skipped] == names
    assert "no audio" in batch.skipped[0].reason and "no video" in batch.skipped[1].reason
    assert all(isinstance(s, Skipped) and "\n" not in s.reason for s in batch.skipped)


def test_no_picture_after_the_end(manifest):
    with pytest.raises(MediaError, match="no sound"):
        decode_audio(manifest.parent / "short.mp4", 60.0, 1.0)


def test_epoch_is_shuffled_whole_and_can_be_entered_anywhere():
    epoch = list(EpochBatches(50, 8, seed=3, epoch=4, skip=0))
    assert len(epoch) == 6 and len({i for batch in epoch for _, i in batch}) == 48
    assert {e for batch in epoch for e, _ in batch} == {4}
    assert list(EpochBatches(50, 8, seed=3, epoch=4, skip=2)) == epoch[2:]
    assert list(EpochBatches(50, 8, seed=3, epoch=5, skip=0))[0] != epoch[0]


@pytest.mark.parametrize("line, complaint", [
    ("x\tx.mp4\tx.mp4\t0\tsoon\ttrain\tm\ta", "duration_s"),
    ("x\tx.mp4\tx.mp4\t0\tnan\ttrain\tm\ta", "duration_s"),
    ("x\tx.mp4\tx.mp4\t0\t1\tvalid\tm\ta", "split"),
    ("x\tx.mp4\tx.mp4\t0\t1\ttrain\tm", "columns"),
    ("x\tx.mp4\tx.mp4\t-1\t1\ttrain\tm\ta", "start_s"),
])
def test_bad_manifest_lines_are_named(tmp_path: Path, line, complaint):
    file = tmp_path / "manifest.tsv"
    file.write_text("id\tvideo\taudio\tstart_s\tduration_s\tsplit\tset\tgroup\n" + line + "\n")
    with pytest.raises(InputError, match=f"line 2.*{complaint}"):
        read_manifest(file)
