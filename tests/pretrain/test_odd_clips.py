"""Clips of odd and broken media: broken ones are skipped with a reason, whatever is wrong with them."""

import os
import re
import signal
import threading

import numpy
import pytest

from mmpt.pretrain.clip_batch import SkippedClip, collate
from mmpt.pretrain.clips import ClipDataset, Sampling
from mmpt.pretrain.manifest import Clip
from mmpt.training.media_pictures import Converter, VideoFile

from helpers.broken_media import KINDS, SECONDS, write_broken
from helpers.clip_files import write_clip
from helpers.media_files import counting, tone, write_media

SAMPLING = Sampling(size=16, frames=16, stride=4, crop_min=0.5)


@pytest.fixture
def alarm():
    """Ends a test that hangs, with a traceback."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("a clip hangs its reader"))
    signal.alarm(600)
    yield
    signal.alarm(0)


def clip_of(path, duration_s, start_s=0.0, audio=None) -> Clip:
    return Clip("odd", path, audio or path, start_s, duration_s, "train", "mock", "a")


def greys(frames) -> list[int]:
    """The numbers that grey pictures (H, W, 3) show (see media_files.counting)."""
    return [round(float(numpy.asarray(frame).mean()) / 5) for frame in frames]


def test_sixty_kinds_of_broken_media_among_800_good_clips(tmp_path, alarm):
    for number in range(3):
        write_clip(tmp_path / f"good{number}.mp4", 0.3, number, size=32)
    files = [tmp_path / f"good{number}.mp4" for number in range(3)]
    good = [Clip(f"good{n}", files[n % 3], files[n % 3], 0.0, 0.3, "train", "mock", "g") for n in range(800)]
    broken = [
        Clip(name, video, audio, start_s, SECONDS, "train", "mock", "b")
        for name, video, audio, start_s in write_broken(tmp_path / "broken")
    ]
    assert len(broken) == len({clip.id for clip in broken}) >= 40
    clips = [
        clip
        for n in range(len(broken))
        for clip in [*good[n * 800 // len(broken) : (n + 1) * 800 // len(broken)], broken[n]]
    ]
    dataset = ClipDataset(clips, SAMPLING, seed=0, memory_gb=0)
    handles, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    skipped, ids = [], []
    for start in range(0, len(clips), 32):
        batch = collate([dataset[1, n] for n in range(start, min(start + 32, len(clips)))])
        ids += batch.ids
        skipped += batch.skipped
        assert batch.video.shape == (len(batch), 3, 16, 16, 16)
    assert sorted(ids) == sorted(clip.id for clip in good)
    reasons = {entry.id: entry.reason for entry in skipped}
    assert sorted(reasons) == sorted(clip.id for clip in broken) and len(skipped) == len(broken)
    unfitting = {kind.name: reasons[kind.name] for kind in KINDS if not re.search(kind.reason, reasons[kind.name])}
    assert not unfitting
    assert all("\n" not in reason and re.match("(video|audio): ", reason) for reason in reasons.values())
    assert len(os.listdir("/proc/self/fd")) <= handles and threading.active_count() == threads


def test_silence_is_a_sound(tmp_path):
    write_media(tmp_path / "silence.mp4", counting(50), numpy.zeros((1, 32000)))
    item = ClipDataset([clip_of(tmp_path / "silence.mp4", 2.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert len(item.wav) == 32000 and not item.wav.any()


def test_no_more_pictures_are_converted_than_are_wanted(tmp_path, monkeypatch):
    write_media(tmp_path / "long.mp4", counting(150), numpy.zeros((1, 96000)))
    converted = []
    convert = Converter.__call__
    monkeypatch.setattr(Converter, "__call__", lambda self, frame: converted.append(frame) or convert(self, frame))
    ClipDataset([clip_of(tmp_path / "long.mp4", 6.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert len(converted) == 16
    with VideoFile(tmp_path / "long.mp4") as video:
        assert greys(video.pictures_at([1.0, 1.01, 1.02, 1.05], 48)) == [25, 25, 25, 26]
    assert len(converted) == 18


def test_a_stream_may_be_shorter_than_its_clip(tmp_path):
    """Sound may stop before the pictures do and the other way round, where the header says so; a whole file may not."""
    write_media(tmp_path / "quiet_end.mp4", counting(100), tone(1.5, 16000)[None])
    item = ClipDataset([clip_of(tmp_path / "quiet_end.mp4", 4.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert len(item.wav) == pytest.approx(24000, abs=1100)
    write_media(tmp_path / "frozen.mp4", counting(20), tone(4.0, 16000)[None])
    item = ClipDataset([clip_of(tmp_path / "frozen.mp4", 4.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert greys(item.video)[-1] == 19
    item = ClipDataset([clip_of(tmp_path / "quiet_end.mp4", 8.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert isinstance(item, SkippedClip) and "cut off" in item.reason


def test_either_half_of_a_clip_may_be_cut_off(tmp_path):
    write_media(tmp_path / "whole.ts", counting(150), None)
    write_media(tmp_path / "whole.wav", [], tone(6.0, 16000)[None], audio="pcm_s16le")
    for name, share in (("half.ts", 0.3), ("half.wav", 0.5)):
        data = (tmp_path / f"whole.{name[5:]}").read_bytes()
        (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    for video, audio, reason in [
        ("whole.ts", "whole.wav", None),
        ("half.ts", "whole.wav", "video: ends at"),
        ("whole.ts", "half.wav", "audio: ends at 3"),
    ]:
        clips = [clip_of(tmp_path / video, 6.0, audio=tmp_path / audio)]
        for gb in (0, 1):
            item = ClipDataset(clips, SAMPLING, seed=0, memory_gb=gb)[None, 0]
            assert item.video.any() if reason is None else item.reason.startswith(reason)
