"""The corpora of the Modified Rhyme Test: stand-ins for the commands, and intents made of a word's three parts."""

import csv
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmpt.scripts.samples import fluent_commands, mrt_intents, mrt_keywords, words
from mmpt.scripts.samples.tables import read_recordings
from mmpt.scripts.samples.words import onset_vowel_coda
from mmpt.superb.data_checks.published import COMMANDS
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner import repairs

from helpers.sample_builders import RATE, Here, Ramps

SAMPLES = REPOSITORY / "samples"
MRT = [item for item in read_recordings(SAMPLES) if item.kind == "mrt"]
CLASSES = (*COMMANDS, "_unknown_", "_silence_")


def test_stand_in_words_can_be_told_apart():
    """Each has two proven takes per speaker, and any two differ in at least two of onset, vowel and coda."""
    unproven = {"dip", "sup", "seethe", "bat", "pub", "mat", "race", "buck", "sat", "bun"}
    said = [item for item in MRT if item.speaker == "F1"]
    sounds = {item.word: onset_vowel_coda(item.arpabet) for item in said}
    stand_ins = list(mrt_keywords.STAND_INS.values())
    assert list(mrt_keywords.STAND_INS) == list(COMMANDS)
    assert len(set(stand_ins)) == 10 and not unproven & set(stand_ins)
    assert all(sum(item.word == word for item in said) == 2 for word in stand_ins)
    for one, other in combinations(stand_ins, 2):
        assert sum(a != b for a, b in zip(sounds[one], sounds[other], strict=True)) >= 2, (one, other)


def test_words_are_cut_from_their_middle(tmp_path):
    store = Ramps(noise=20)
    built = mrt_keywords.build(MRT, tmp_path, store, Here())
    files = {row.file: row for row in built}
    assert len(files) == len(built) == 4 * (2 * 10 + 2) + 4 + 2
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.wav")} == set(files)
    take = next(item for item in MRT if (item.word, item.speaker) == ("sun", "M4"))
    cut, _ = next((cut, name) for cut, name in mrt_keywords.plan_words(MRT, store) if cut.source == take.source)
    assert cut.file.startswith("mrt/speech_commands_test_set_v0.01/yes/") and cut.file.endswith("_nohash_0.wav")
    middle_s = take.word_onset_s + take.word_duration_s / 2
    assert cut.start == min(round(middle_s * RATE) - 8000, RATE) and cut.samples == RATE
    found, rate = soundfile.read(tmp_path / cut.file, dtype="float32")
    assert rate == RATE and np.abs(found - store.load(take.source)[cut.start : cut.start + RATE]).max() < 1e-4
    seconds = sorted(row.source_clips[0] for row in built if row.source_clips[0].startswith("noise/music_system"))
    assert seconds == ["noise/music_system.opus#0-14", "noise/music_system.opus#17-18"]
    length = {row.file: len(soundfile.read(tmp_path / row.file)[0]) for row in built if "music_system" in row.file}
    assert sorted(length.values()) == [RATE, 14 * RATE]


def test_words_are_whole():
    """The word's time lies inside the cut second, so that no word is clipped."""
    with (SAMPLES / "mrt/clips.tsv").open() as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        seconds = {f"mrt/audio/{row['clip']}.opus": float(row["seconds"]) for row in rows}

    class Lengths:
        def load(self, source):
            return np.zeros(int(seconds[source] * RATE))

    times = {item.source: (item.word_onset_s, item.word_onset_s + item.word_duration_s) for item in MRT}
    for cut, _ in mrt_keywords.plan_words(MRT, Lengths()):
        onset, end = times[cut.source]
        assert cut.start / RATE <= onset and end <= cut.start / RATE + 1, cut


def test_keywords_name_what_is_missing(tmp_path):
    def without(word):
        return [item for item in MRT if (item.word, item.speaker) != (word, "F3")]

    one_sun = without("sun") + [item for item in MRT if (item.word, item.speaker) == ("sun", "F3")][:1]
    for clips, store, message in (
        (without("sun"), Ramps(), "F3 says 'sun' 0 times, not twice"),
        (one_sun, Ramps(), "F3 says 'sun' 1 times, not twice"),
        (without("vest"), Ramps(), "F3 never says 'vest'"),
        (MRT, Ramps(mrt=0.9), "mrt/audio/.*: shorter than one second"),
    ):
        with pytest.raises(InputError, match=message):
            mrt_keywords.plan_words(clips, store)
    with pytest.raises(InputError, match=f"noise/pink.flac: ends before sample {9 * RATE}"):
        mrt_keywords.write_cut(tmp_path, Ramps(), mrt_keywords.Cut("noise/pink.flac", 8 * RATE, RATE, "a.wav"))
    assert not list(tmp_path.iterdir())


def test_intents_are_onset_vowel_and_coda(tmp_path):
    clips = [item for item in MRT if item.clip.endswith("b01_w1")]
    built = mrt_intents.build([*clips, replace(clips[0], kind="reader")], tmp_path, Ramps(), Here())
    assert [row.source_clips for row in built] == [(clip.source,) for clip in clips]
    assert all((tmp_path / row.file).is_file() for row in built)
    rows = {}
    for split, table in fluent_commands.TABLES.items():
        with (tmp_path / mrt_intents.ROOT / "data" / table).open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                rows[row["path"]] = (split, row["action"], row["object"], row["location"], row["transcription"])
    expected = {
        f"wavs/speakers/{c.speaker}/{c.clip}.wav": (c.split, *words.onset_vowel_coda(c.arpabet), c.text) for c in clips
    }
    assert rows == expected and {row[0] for row in rows.values()} == {"train", "dev", "test"}


@pytest.mark.parametrize(
    "arpabet, parts",
    [("S EH1 N T", ("S", "EH", "N-T")), ("AW1 T", ("none", "AW", "T")), ("S T EY2", ("S-T", "EY", "none"))],
)
def test_a_word_has_three_parts(arpabet, parts):
    assert words.onset_vowel_coda(arpabet) == parts


@pytest.mark.parametrize("arpabet, count", [("S T", 0), ("HH AH0 L OW1", 2)])
def test_a_word_of_another_number_of_vowels_is_refused(arpabet, count):
    with pytest.raises(ValueError, match=f"has {count} vowels, not one"):
        words.onset_vowel_coda(arpabet)


def test_stock_classes_read_the_keywords(built_samples):
    repairs.apply()
    from s3prl.downstream.speech_commands.dataset import SpeechCommandsDataset, SpeechCommandsTestingDataset
    from s3prl.downstream.speech_commands.expert import split_dataset

    roots = {
        "speech_commands_root": str(built_samples / mrt_keywords.TRAIN_ROOT),
        "speech_commands_test_root": str(built_samples / mrt_keywords.TEST_ROOT),
    }
    lists = split_dataset(roots["speech_commands_root"])
    train, dev = (SpeechCommandsDataset(files, **roots) for files in lists)
    test = SpeechCommandsTestingDataset(**roots)
    assert Counter(name for name, _ in train.data) == dict.fromkeys(CLASSES, 4)
    assert Counter(name for name, _ in dev.data) == dict.fromkeys(CLASSES, 2) | {"_silence_": 4}
    assert Counter(name for name, _ in test.data) == dict.fromkeys(CLASSES, 2)
    for dataset in (train, test):
        for index in range(len(dataset)):
            wav, label, _ = dataset[index]
            assert len(wav) == RATE and np.abs(wav).max() > 0.001
            assert CLASSES[label] == dataset.data[index][0]


def test_stock_class_reads_the_intents(built_samples):
    import pandas

    repairs.apply()
    from s3prl.downstream.fluent_commands.dataset import FluentCommandsDataset

    root = built_samples / mrt_intents.ROOT
    frames = {name: pandas.read_csv(root / f"data/{name}_data.csv") for name in ("train", "valid", "test")}
    assert {name: len(frame) for name, frame in frames.items()} == {"train": 600, "valid": 300, "test": 300}
    slots = ["action", "object", "location"]
    labels = {slot: {name: i for i, name in enumerate(dict.fromkeys(frames["train"][slot]))} for slot in slots}
    for frame in frames.values():
        assert not frame[slots].isna().any().any()
        dataset = FluentCommandsDataset(frame, str(root), labels)
        for index in range(0, len(dataset), 37):
            wav, label, stem = dataset[index]
            assert wav.ndim == 1 and len(wav) > RATE
            assert stem == Path(frame.path[index]).stem and label.shape == (3,)
        for slot in slots:
            assert set(frame[slot]) <= set(labels[slot])
    by_word = {
        row.transcription.split()[-1]: (row.action, row.object, row.location) for row in frames["train"].itertuples()
    }
    assert by_word["went"] == ("W", "EH", "N-T")
    assert by_word["eel"] == ("none", "IY", "L")
    assert by_word["pay"] == ("P", "EY", "none")
