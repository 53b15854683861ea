"""One split for all stages, proved from the built folders."""

import csv
import hashlib
from collections import defaultdict
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mmpt.scripts.samples.provenance import BuiltFile, read_provenance
from mmpt.scripts.samples.recordings import decode
from mmpt.upstream.repository import REPOSITORY

SAMPLES = REPOSITORY / "samples"
SOUNDS = {".wav", ".flac", ".mp4"}

# Which split each published folder or table name stands for, so that the layout itself is the witness.
FOLDER_SPLITS = {
    "train": "train",
    "dev": "dev",
    "test": "test",
    "tst-COMMON": "test",
    "train-clean-100": "train",
    "dev-clean": "dev",
    "dev-other": "dev",
    "test-clean": "test",
    "test-other": "test",
    "speech_commands_test_set_v0.01": "test",
}
MRT_SPLITS = {"F1": "train", "M3": "train", "F3": "dev", "M4": "test"}


@pytest.fixture(scope="module")
def provenance(built_samples) -> dict[str, BuiltFile]:
    return {row.file: row for row in read_provenance(built_samples)}


@cache
def intent_splits(root: Path) -> dict[str, str]:
    """Path → split of every line of the three intent tables."""
    splits = {}
    for table, name in (("train_data", "train"), ("valid_data", "dev"), ("test_data", "test")):
        with (root / f"data/{table}.csv").open(encoding="utf-8") as lines:
            splits.update({row["path"]: name for row in csv.DictReader(lines)})
    return splits


def stock_split(root: Path, file: str) -> str:
    """The split that a stage takes a built file for: by folder, by the intent tables, by S3PRL's hash of names."""
    parts = Path(file).parts
    if parts[0] == "fluent_speech_commands_dataset":
        return intent_splits(root / parts[0])["/".join(parts[1:])]
    if parts[0] == "speech_commands_v0.01":
        if parts[1] == "_background_noise_":
            return "train"
        number = int(hashlib.sha1(parts[2].split("_nohash_")[0].encode()).hexdigest(), 16) % 2**27 * 100 / (2**27 - 1)
        return "dev" if number < 10 else "left out" if number < 20 else "train"
    return next(FOLDER_SPLITS[part] for part in parts if part in FOLDER_SPLITS)


def clips_by_split(root: Path, files: dict[str, BuiltFile]) -> dict[str, set[str]]:
    clips = defaultdict(set)
    for file, row in files.items():
        clips[stock_split(root, file)].update(row.source_clips)
    return clips


def crossing(clips: dict[str, set[str]]) -> set[str]:
    return clips["train"] & (clips["dev"] | clips["test"]) | clips["dev"] & clips["test"]


def test_every_sound_file_has_its_provenance(built_samples, provenance):
    found = {p.relative_to(built_samples).as_posix() for p in built_samples.rglob("*") if p.suffix in SOUNDS}
    assert found == set(provenance)
    assert all((SAMPLES / clip.split("#")[0]).is_file() for row in provenance.values() for clip in row.source_clips)


def test_no_utterance_crosses_the_split(built_samples, provenance):
    clips = clips_by_split(built_samples, provenance)
    assert set(clips) == {"train", "dev", "test"}
    assert crossing(clips) == set()
    # Nothing was lost on the way either: all 1580 recordings are in use.
    speech = {clip for members in clips.values() for clip in members if not clip.startswith("noise/")}
    assert len(speech) == 1580


def test_the_proof_can_fail(built_samples, provenance):
    leak = dict(provenance)
    leak["av/train/M4/M4_b01_w1.mp4"] = BuiltFile(
        "av", "train", "av/train/M4/M4_b01_w1.mp4", ("mrt/audio/M4_b01_w1.opus",)
    )
    assert crossing(clips_by_split(built_samples, leak)) == {"mrt/audio/M4_b01_w1.opus"}


def test_stated_splits_are_those_of_the_folders(built_samples, provenance):
    for file, row in provenance.items():
        assert stock_split(built_samples, file) == row.split, file


@pytest.mark.slow
def test_mrt_speakers_and_english_texts_stay_whole(provenance):
    with (SAMPLES / "asterisk/prompts.tsv").open(encoding="utf-8") as lines:
        prompts = {row["id"]: row["split"] for row in csv.DictReader(lines, delimiter="\t")}
    for row in provenance.values():
        for clip in row.source_clips:
            stem = Path(clip).stem
            if clip.startswith("mrt/"):
                assert row.split == MRT_SPLITS[stem.split("_")[0]]
            elif clip.startswith("asterisk/"):
                assert row.split == prompts.get(stem, "train")


@pytest.mark.slow
def test_noise_of_the_test_is_not_in_training(provenance):
    seconds = {"train": set(), "test": set()}
    for row in provenance.values():
        for clip in row.source_clips:
            if clip.startswith("noise/"):
                source, _, span = clip.partition("#")
                first, last = map(int, span.split("-"))
                seconds[row.split] |= {(source, second) for second in range(first, last)}
    assert seconds["train"] and seconds["test"]
    assert not seconds["train"] & seconds["test"]


def mean_square_error(built: np.ndarray, source: np.ndarray) -> float:
    length = min(len(built), len(source))
    return float(np.mean((built[:length] - source[:length]) ** 2) / np.mean(source[:length] ** 2))


@pytest.mark.parametrize("corpus", ["LibriSpeech", "fluent_speech_commands_dataset", "av"])
def test_provenance_tells_the_truth_about_whole_clips(built_samples, provenance, corpus):
    rows = sorted((row for row in provenance.values() if row.corpus == corpus), key=lambda row: row.file)[::61]
    for row in rows:
        (clip,) = row.source_clips
        source = decode(SAMPLES / clip)
        if corpus == "av":
            assert mean_square_error(mp4_sound(built_samples / row.file), source) < 0.05
        else:
            built, _ = soundfile.read(built_samples / row.file, dtype="float32")
            assert len(built) == len(source)
            assert np.abs(built - np.clip(source, -1, 1)).max() < 1e-4


@pytest.mark.parametrize("corpus, every", [("must_c", 60), ("speech_commands", 9), ("diarization", 20)])
def test_provenance_tells_the_truth_about_pieces(built_samples, provenance, corpus, every):
    """Each source clip is found in the built sound, or the built second in its source, by correlation."""
    rows = sorted((row for row in provenance.values() if row.corpus == corpus), key=lambda row: row.file)[::every]
    for row in rows:
        built, _ = soundfile.read(built_samples / row.file, dtype="float32")
        for clip in row.source_clips[::3]:
            source = decode(SAMPLES / clip.split("#")[0])
            long, short = (built, source) if len(built) > len(source) else (source, built)
            # A second from the loudest place: mixtures hold clips without the silence at their ends.
            middle = int(np.argmax(np.convolve(short**2, np.ones(8000), "same")))
            start = max(0, min(middle - 4000, len(short) - 8000))
            least = 0.6 if corpus == "diarization" else 0.99  # another voice may lie over a clip of a mixture
            assert best_match(long, short[start : start + 8000]) > least, (row.file, clip)


def best_match(long: np.ndarray, short: np.ndarray) -> float:
    """Highest correlation coefficient of `short` with any stretch of `long`."""
    size = 1 << (len(long) + len(short)).bit_length()
    products = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size)), size)[: len(long)]
    energy = np.cumsum(np.concatenate([[0.0], np.pad(long.astype(np.float64), (0, len(short))) ** 2]))
    windows = energy[len(short) : len(short) + len(long)] - energy[: len(long)]
    return float(np.max(products / np.sqrt(np.maximum(windows, 1e-6) * np.sum(short**2))))


def mp4_sound(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
