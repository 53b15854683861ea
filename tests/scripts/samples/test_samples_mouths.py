"""The audio-visual clips: a container as promised, and a picture that follows the sound of its own clip."""

import csv
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from mmpt.pretrain.manifest import COLUMNS
from mmpt.scripts.samples import av_clips, motion, mouths, pack_tables, size, tables
from mmpt.scripts.samples.tables import Recording
from mmpt.upstream.repository import REPOSITORY

SAMPLES = REPOSITORY / "samples"
RATE = 16000


@pytest.fixture(scope="module")
def manifest(built_samples) -> list[dict[str, str]]:
    with (built_samples / "av/manifest.tsv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def read_mp4(path: Path) -> tuple[np.ndarray, np.ndarray, list[bool], dict]:
    """(frames, 112, 112) luma, (samples,) sound, key frame flags, facts of the container."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        facts = {
            "metadata": dict(container.metadata),
            "codecs": (video.codec_context.name, audio.codec_context.name),
            "fps": video.average_rate,
            "rate": audio.rate,
            "channels": audio.channels,
            "format": video.codec_context.pix_fmt,
            "starts": (video.start_time, audio.start_time),
        }
        frames = list(container.decode(video=0))
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    luma = np.stack([frame.to_ndarray()[: mouths.SIZE] for frame in frames]).astype(np.float32)
    return luma, sound, [bool(frame.key_frame) for frame in frames], facts


def loudness(sound: np.ndarray, frames: int) -> np.ndarray:
    """(frames,) level in dB of each 40 ms, at most 35 dB below the loudest."""
    padded = np.pad(sound, (0, 640))[: frames * 640].reshape(frames, 640)
    level = 10 * np.log10(np.mean(padded**2, axis=1) + 1e-9)
    return np.maximum(level, level.max() - 35)


def openness(luma: np.ndarray) -> np.ndarray:
    """(frames,) how far the mouth is from its most closed picture, in mean grey levels."""
    closed = luma[luma[:, 50:90, 36:76].std(axis=(1, 2)).argmin()]
    return np.abs(luma - closed).mean(axis=(1, 2))


def test_manifest_lists_every_clip(built_samples, manifest):
    assert tuple(manifest[0]) == COLUMNS
    assert len({row["id"] for row in manifest}) == len(manifest)
    listed = {row["video"] for row in manifest}
    assert listed == {path.relative_to(built_samples / "av").as_posix() for path in built_samples.rglob("*.mp4")}
    for row in manifest:
        assert row["video"] == row["audio"]
        assert row["video"].split("/")[:2] == [row["split"], row["group"]]
        assert float(row["start_s"]) == 0 < float(row["duration_s"])


def test_training_has_all_sets_and_held_out_clips_are_as_many_in_every_build(manifest):
    counts = Counter((row["set"], row["split"]) for row in manifest)
    assert {name for name, _ in counts} == set(av_clips.SETS)
    assert all(counts[name, "train"] >= 50 for name in av_clips.SETS)
    splits = Counter(row["split"] for row in manifest)
    assert (splits["dev"], splits["test"]) == (300, 150)


def test_held_out_clips_do_not_depend_on_the_size_of_training():
    recordings = [*tables.read_recordings(SAMPLES), *pack_tables.read_packs(SAMPLES)]
    whole, part = (
        {item.source for item in av_clips.choose(items) if item.split != "train"}
        for items in (recordings, size.choose(recordings, size.SMALL, ()))
    )
    assert len(whole) == 450 and whole == part
    assert sum(item.split == "train" for item in av_clips.choose(recordings)) == sum(
        item.split == "train" for item in recordings
    )


@pytest.mark.parametrize(
    "kind, language, name",
    [
        ("queen", "en", "speech-games"),
        ("drascula", "en", "speech-games"),
        ("drascula", "es", "speech-spanish"),
        ("prompt", "ru", "speech-prompts"),
        ("mrt", "en", "speech-prompts"),
        ("reader", "en", "speech-prompts"),
        ("intent", "en", "synthetic-commands"),
        ("word", "en", "synthetic-commands"),
        ("sound", "-", "sounds"),
    ],
)
def test_each_source_has_its_set(kind, language, name):
    assert av_clips.set_of(Recording("a.opus", kind, "a", "b", language, "", "train")) == name


def test_containers_are_as_promised(built_samples, manifest):
    rows = manifest[::300] + sorted(manifest, key=lambda row: -float(row["duration_s"]))[:1]
    for row in rows:
        luma, sound, keys, facts = read_mp4(built_samples / "av" / row["video"])
        assert facts["codecs"] == ("h264", "aac") and facts["fps"] == 25 and facts["format"] == "yuv420p"
        assert facts["rate"] == RATE and facts["channels"] == 1 and facts["starts"] == (0, 0)
        assert "not a recording of a face" in facts["metadata"]["title"] + facts["metadata"]["comment"]
        assert [number for number, key in enumerate(keys) if key] == list(range(0, len(keys), 50))
        duration_s = float(row["duration_s"])
        assert len(luma) == int(np.ceil(round(duration_s * RATE) / 640))
        assert 0 <= len(sound) - duration_s * RATE < 1024  # AAC ends with a whole frame
    assert max(float(row["duration_s"]) for row in rows) > 4  # so that a second key frame was seen


def test_opening_follows_energy(built_samples, manifest):
    for row in [row for row in manifest if row["set"] != av_clips.SOUNDS][::97]:
        luma, sound, _, _ = read_mp4(built_samples / "av" / row["video"])
        together = np.corrcoef(openness(luma), loudness(sound, len(luma)))[0, 1]
        assert together > 0.6, row["id"]


def test_motion_tells_clips_of_one_speaker_apart(built_samples, manifest):
    """The same sentence by the same voice: sound finds its own picture far above chance (1 in 20)."""
    rows = [row for row in manifest if row["group"] == "M3"][:200:10]
    clips = [read_mp4(built_samples / "av" / row["video"])[:2] for row in rows]
    pictures = [openness(luma) for luma, _ in clips]
    sounds = [loudness(sound, len(luma)) for luma, sound in clips]
    frames = min(map(len, pictures))
    match = np.corrcoef([curve[:frames] for curve in sounds], [curve[:frames] for curve in pictures])
    found = match[: len(rows), len(rows) :].argmax(axis=1)
    assert np.mean(found == np.arange(len(rows))) >= 0.7


def test_clips_of_one_speaker_look_different(built_samples, manifest):
    rows = [row for row in manifest if row["group"] == "F1"][:3]
    corners = [read_mp4(built_samples / "av" / row["video"])[0][0, :20, :20] for row in rows]
    assert all(np.abs(one - other).mean() > 2 for i, one in enumerate(corners) for other in corners[:i])


def test_motion_knows_open_round_and_hissing():
    time = np.arange(RATE) / RATE
    quiet = np.zeros(RATE, np.float32)
    low = (0.1 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)
    front = low + (0.1 * np.sin(2 * np.pi * 2300 * time)).astype(np.float32)
    draw = np.random.default_rng(0)
    hiss = np.diff(draw.normal(size=RATE + 3), 3).astype(np.float32) * 0.02
    assert np.all(motion.motion(quiet)[:, [0, 2]] == 0) and np.all(motion.motion(quiet)[:, 1] == 0.5)
    assert motion.motion(low)[5:-5, 0].min() > 0.8
    assert motion.motion(low)[5:-5, 1].max() < 0.2 < 0.6 < motion.motion(front)[5:-5, 1].min()
    assert motion.motion(hiss)[5:-5, 2].min() > 0.6 > 0.1 > motion.motion(front)[5:-5, 2].max()


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 16000])
def test_motion_has_a_value_for_every_frame(samples):
    moves = motion.motion(np.full(samples, 0.1, np.float32))
    assert moves.shape == (int(np.ceil(samples / 640)), 3)
    assert np.all((moves >= 0) & (moves <= 1))


def test_motion_is_on_time():
    """A burst of sound opens the mouth in its own frames and is over two frames later."""
    wav = np.zeros(RATE, np.float32)
    wav[6400:9600] = 0.1 * np.sin(2 * np.pi * 600 * np.arange(3200) / RATE)
    opening = motion.motion(wav)[:, 0]
    assert opening[10:15].min() > 0.5
    assert opening[:8].max() == opening[17:].max() == 0
