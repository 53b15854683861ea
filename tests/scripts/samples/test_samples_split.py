"""One split for all stages, proved from the built folders."""

import csv
import hashlib
import os
import re
import zipfile
from collections import defaultdict
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mmpt.scripts.samples import split, texts
from mmpt.scripts.samples.pack_tables import read_packs
from mmpt.scripts.samples.packs import file_of, is_packed
from mmpt.scripts.samples.provenance import BuiltFile, read_provenance
from mmpt.scripts.samples.recordings import decode
from mmpt.scripts.samples.tables import Recording, read_recordings
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
    "train-other-500": "train",
    "dev-clean": "dev",
    "dev-other": "dev",
    "test-clean": "test",
    "test-other": "test",
    "speech_commands_test_set_v0.01": "test",
}
INTENTS = "fluent_speech_commands_dataset"
MRT_SPLITS = {"F1": "train", "M3": "train", "F3": "dev", "M4": "test"}


@pytest.fixture(scope="module")
def provenance(built_samples) -> dict[str, BuiltFile]:
    return {row.file: row for row in read_provenance(built_samples)}


@cache
def sources() -> dict[str, Recording]:
    """All recordings of samples/, by their paths."""
    return {item.source: item for item in [*read_recordings(SAMPLES), *read_packs(SAMPLES)]}


@cache
def intent_splits(root: Path) -> dict[str, str]:
    """Path in the built folder → split of every line of the intent tables, of all data roots."""
    splits: dict[str, str] = {}
    for corpus in (INTENTS, f"unseen_phrases/{INTENTS}", f"mrt/{INTENTS}"):
        for table, name in (("train_data", "train"), ("valid_data", "dev"), ("test_data", "test")):
            with (root / corpus / f"data/{table}.csv").open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    path = os.path.normpath(f"{corpus}/{row['path']}")
                    assert splits.setdefault(path, name) == name, path
    return splits


def stock_split(root: Path, file: str) -> str:
    """The split that a stage takes a built file for: by folder, by the intent tables, by S3PRL's hash of names."""
    parts = Path(file).parts
    if INTENTS in parts:
        return intent_splits(root)[file]
    if "speech_commands_v0.01" in parts:
        if parts[-2] == "_background_noise_":
            return "train"
        number = int(hashlib.sha1(parts[-1].split("_nohash_")[0].encode()).hexdigest(), 16) % 2**27 * 100 / (2**27 - 1)
        return "dev" if number < 10 else "left out" if number < 20 else "train"
    return next(FOLDER_SPLITS[part] for part in parts if part in FOLDER_SPLITS)


def clips_by_split(root: Path, files: dict[str, BuiltFile]) -> dict[str, set[str]]:
    clips = defaultdict(set)
    for file, row in files.items():
        clips[stock_split(root, file)].update(row.source_clips)
    return clips


def crossing(groups: dict[str, set]) -> set:
    return groups["train"] & (groups["dev"] | groups["test"]) | groups["dev"] & groups["test"]


def grouped(clips: dict[str, set[str]], key) -> dict[str, set]:
    """Split → what `key` gives for its recordings, without None. Seconds of a noise are no recordings."""
    found = {name: {key(sources()[clip]) for clip in members if "#" not in clip} for name, members in clips.items()}
    return {name: values - {None} for name, values in found.items()}


@cache
def unseen_phrases() -> set[str]:
    return texts.unseen_phrases(sources().values())


def text_of(item: Recording) -> str | None:
    """A text that one split alone may have."""
    return texts.text_key(item.text) if texts.splits_by_text(item, unseen_phrases()) else None


def speaker_of(item: Recording) -> str | None:
    """Someone whom one split alone may have."""
    if item.kind == "queen":
        return None if item.speaker == f"queen-{split.QUEEN_UNKNOWN}" else item.speaker
    return item.speaker if item.kind in ("drascula", "intent", "word", "mrt", "reader") else None


@pytest.fixture(scope="module")
def clips(built_samples, provenance) -> dict[str, set[str]]:
    return clips_by_split(built_samples, provenance)


def test_every_sound_file_has_its_provenance(built_samples, provenance):
    found = {p.relative_to(built_samples).as_posix() for p in built_samples.rglob("*") if p.suffix in SOUNDS}
    assert found == set(provenance)
    used = {clip.split("#")[0] for row in provenance.values() for clip in row.source_clips}
    packs = {
        pack: set(zipfile.ZipFile(SAMPLES / pack).namelist()) for pack in set(map(file_of, filter(is_packed, used)))
    }
    for clip in used:
        if is_packed(clip):
            assert Path(clip).name in packs[file_of(clip)]
        else:
            assert (SAMPLES / clip).is_file()


def test_no_utterance_crosses_the_split(clips):
    assert set(clips) == {"train", "dev", "test"}
    assert crossing(clips) == set()
    # Nothing was lost on the way either: dev and test of corpora without a limit are in use whole.
    kept = texts.drop_repeated_texts(list(sources().values())).recordings
    whole = {item.source for item in kept if item.split != "train" and item.kind in ("intent", "mrt", "reader")}
    assert len(whole) > 1500 and whole <= clips["dev"] | clips["test"]


def test_no_text_is_in_two_splits(clips):
    said = grouped(clips, text_of)
    assert min(map(len, said.values())) > 300 and crossing(said) == set()


def test_roles_and_voices_are_whole(clips):
    heard = grouped(clips, speaker_of)
    assert crossing(heard) == set()
    assert {f"queen-{role}" for role in split.QUEEN_TEST} | set(split.VOICES_TEST) <= heard["test"]
    assert {f"queen-{role}" for role in split.QUEEN_DEV} | set(split.VOICES_DEV) <= heard["dev"]
    assert {"queen-JOE", "drascula-HACKER", "drascula-es-HACKER"} <= heard["train"]


def test_noises_come_from_files_of_one_split(clips):
    with (SAMPLES / "packs/sounds/sounds.tsv").open(encoding="utf-8", newline="") as lines:
        files = {row["id"]: row["source_file"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)}
    found = grouped(clips, lambda item: files[item.clip] if item.kind == "sound" else None)
    assert all(found.values()) and crossing(found) == set()


def test_the_proof_can_fail(built_samples, provenance):
    tested = clips_by_split(built_samples, provenance)["test"]
    line = next(item for item in sources().values() if item.speaker == "queen-BOB" and item.source in tested)
    leaks = {"mrt/audio/M4_b01_w1.opus", line.source}
    leaky = dict(provenance)
    for clip in leaks:
        file = f"av/train/leak/{Path(clip).stem}.mp4"
        leaky[file] = BuiltFile("av", "train", file, (clip,))
    clips = clips_by_split(built_samples, leaky)
    assert crossing(clips) == leaks
    assert crossing(grouped(clips, speaker_of)) == {"M4", "queen-BOB"}
    assert crossing(grouped(clips, text_of)) == {texts.text_key(line.text)}


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


@pytest.mark.parametrize("corpus", ["LibriSpeech", INTENTS, f"mrt/{INTENTS}", "av"])
def test_provenance_tells_the_truth_about_whole_clips(built_samples, provenance, corpus):
    rows = sorted((row for row in provenance.values() if row.corpus == corpus), key=lambda row: row.file)
    assert rows
    for row in rows[:: len(rows) // 12]:
        (clip,) = row.source_clips
        source = decode(SAMPLES, clip)
        if corpus == "av":
            assert mean_square_error(mp4_sound(built_samples / row.file), source) < 0.05
        else:
            built, _ = soundfile.read(built_samples / row.file, dtype="float32")
            assert len(built) == len(source)
            assert np.abs(built - np.clip(source, -1, 1)).max() < 1e-4


@pytest.mark.parametrize("corpus", ["must_c", "mrt/speech_commands", "diarization"])
def test_provenance_tells_the_truth_about_pieces(built_samples, provenance, corpus):
    """Each source clip is found in the built sound, or the built second in its source, by correlation."""
    rows = sorted((row for row in provenance.values() if row.corpus == corpus), key=lambda row: row.file)
    for row in rows[:: len(rows) // 8]:
        built, _ = soundfile.read(built_samples / row.file, dtype="float32")
        for clip in row.source_clips[::3]:
            source = decode(SAMPLES, clip.split("#")[0])
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


def written_texts(root: Path) -> dict[str, set[str]]:
    """Split → the English texts of MuST-C and LibriSpeech, letters alone: each corpus has its own spelling."""
    found = defaultdict(set)
    for path in root.glob("must_c/en-*/data/*/txt/*.en"):
        found[FOLDER_SPLITS[path.stem]].update(path.read_text(encoding="utf-8").splitlines())
    for path in root.glob("LibriSpeech/*/*/*/*.trans.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        found[FOLDER_SPLITS[path.parts[-4]]].update(line.split(" ", 1)[1] for line in lines)
    return {name: {re.sub(r"[^a-z]", "", text.lower()) for text in members} for name, members in found.items()}


def test_no_written_text_of_must_c_and_librispeech_is_in_two_splits(built_samples):
    written = written_texts(built_samples)
    assert set(written) == {"train", "dev", "test"} and min(map(len, written.values())) > 400
    assert crossing(written) == set()


def test_lines_whose_speaker_is_not_told_are_in_no_mixture(provenance):
    mixed = {
        sources()[clip].speaker
        for row in provenance.values()
        if row.corpus == "diarization"
        for clip in row.source_clips
    }
    assert len(mixed) >= 30 and f"queen-{split.QUEEN_UNKNOWN}" not in mixed
