"""Keyword spotting: which words become which class, and one second of sound alike from every source."""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import soundfile

from mmpt.scripts.samples import keyword_cuts, size, speech_commands, split
from mmpt.scripts.samples.keyword_cuts import Word, balanced
from mmpt.scripts.samples.pack_tables import read_packs, read_word_times
from mmpt.scripts.samples.recordings import decode
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.texts import drop_repeated_texts
from mmpt.scripts.samples.words import read_lexicon
from mmpt.superb.data_checks.ks import ks_split
from mmpt.superb.data_checks.published import COMMANDS
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner import repairs

from helpers.sample_builders import RATE, Here, Ramps

SAMPLES = REPOSITORY / "samples"
CLASSES = (*COMMANDS, "_unknown_", "_silence_")
TEST = "speech_commands_test_set_v0.01"
TEST_COUNTS = {
    "yes": 20, "no": 32, "up": 32, "down": 5, "left": 6, "right": 23, "on": 32, "off": 15, "stop": 10, "go": 29,
    "_unknown_": 32, "_silence_": 32,
}  # fmt: skip
DEV_COUNTS = {
    "yes": 3, "no": 16, "up": 11, "down": 1, "left": 4, "right": 4, "on": 17, "off": 1, "stop": 5, "go": 17,
    "_unknown_": 20,
}  # fmt: skip


@cache
def recordings() -> list[Recording]:
    return drop_repeated_texts(read_packs(SAMPLES)).recordings


@cache
def planned(which: str) -> list[Word]:
    """The words of a small or a full build."""
    commands = {time.clip for time in read_word_times(SAMPLES) if time.word in COMMANDS}
    return speech_commands.plan_words(size.choose(recordings(), which, commands), SAMPLES)


@pytest.mark.parametrize("speaker, name", [("queen-JOE", "train"), ("queen-BUD", "dev"), ("queen-BOB", "test")])
def test_an_alias_hashes_into_its_split(speaker, name):
    alias = speech_commands.alias(speaker, name)
    assert re.fullmatch("[0-9a-f]{8}", alias)
    assert ks_split(f"{alias}_nohash_0.wav") == {"test": "none"}.get(name, name)


@pytest.mark.parametrize("which", ["small", "full"])
def test_dev_and_test_are_real_words_of_unseen_roles(which):
    words = planned(which)
    for name, roles in (("dev", split.QUEEN_DEV), ("test", split.QUEEN_TEST)):
        said = [word for word in words if word.split == name]
        assert said and all(word.is_real for word in said)
        assert {word.speaker for word in said} <= {f"queen-{role}" for role in roles}
    training = [word for word in words if word.split == "train"]
    voices = {word.speaker for word in training if not word.is_real}
    assert voices and voices <= set(split.VOICES_TRAIN)
    assert {word.speaker.partition("-")[0] for word in training if word.is_real} == {"queen", "bass"}
    unseen = {f"queen-{role}" for role in (*split.QUEEN_DEV, *split.QUEEN_TEST, split.QUEEN_UNKNOWN)}
    assert not unseen & {word.speaker for word in training}
    for label in COMMANDS:
        assert sum(word.label == label for word in training) >= 25, label


def test_small_and_full_builds_have_one_dev_and_test():
    held_out = [
        {file: word for file, word in speech_commands.name_files(planned(which)).items() if word.split != "train"}
        for which in ("small", "full")
    ]
    assert held_out[0] == held_out[1]


def test_dev_is_made_as_test_is():
    """The same sources, at most so many of a class, and no role has most of the clips of the unknown class."""
    for name, counts in (("dev", DEV_COUNTS), ("test", TEST_COUNTS)):
        said = [word for word in planned("small") if word.split == name]
        assert Counter(word.label for word in said) == {key: n for key, n in counts.items() if key != "_silence_"}
        unknown = Counter(word.speaker for word in said if word.label == "_unknown_")
        assert max(unknown.values()) <= 4


def test_no_word_of_another_class_sounds_like_a_command():
    lexicon = read_lexicon(SAMPLES)

    def phones(word):
        return re.sub(r"\d", "", lexicon.get(word.upper(), word))

    commands = {phones(word) for word in COMMANDS}
    heard = {word.folder for word in speech_commands.real_words(recordings(), SAMPLES)} - {"_unknown_"}
    assert not [word for word in heard - set(COMMANDS) if phones(word) in commands]
    spoken = {time.word for time in read_word_times(SAMPLES)} - set(COMMANDS)
    assert {word for word in spoken if phones(word) in commands} == set(speech_commands.SOUND_ALIKE)


def word(speaker: str, number: int, label: str = "go") -> Word:
    return Word(f"{speaker}{number}.opus", speaker, label, label, "test", 0.1, 0.4)


def test_speakers_are_taken_in_turn():
    said = [*(word("a", number) for number in range(9)), word("b", 0), word("b", 1), word("c", 0), word("c", 0, "no")]
    for order in (said, said[::-1]):
        chosen = balanced(order, 6)
        assert Counter(item.speaker for item in chosen if item.label == "go") == {"a": 3, "b": 2, "c": 1}
        assert [item for item in chosen if item.label == "no"] == [word("c", 0, "no")]
    first, *_ = sorted(said[:9], key=lambda item: item.order)
    assert first in balanced(said, 3)


def test_a_word_is_cut_at_its_times():
    wav = np.arange(2 * RATE, dtype=np.float32)
    cut = keyword_cuts.cut(wav, word("a", 0))
    first = round((0.1 + keyword_cuts.AFTER_START_S) * RATE)
    assert cut[0] == first and cut[-1] == round((0.4 + keyword_cuts.AFTER_END_S) * RATE) - 1
    assert len(keyword_cuts.cut(wav, replace(word("a", 0), end_s=1.9))) == RATE
    assert keyword_cuts.cut(wav, replace(word("a", 0), start_s=1.7, end_s=1.99))[-1] == wav[-1]


def test_a_word_after_the_end_of_its_recording_is_named():
    with pytest.raises(InputError, match=r"word_times.tsv: go at 0.1 s lies behind the end of a0.opus"):
        keyword_cuts.cut(np.zeros(1000, np.float32), word("a", 0))


def test_a_synthetic_word_is_cut_from_the_silence_around_it():
    wav = np.zeros(2 * RATE, dtype=np.float32)
    wav[8000:14000] = np.sin(np.arange(6000))
    cut = keyword_cuts.cut(wav, replace(word("a", 0), start_s=None, end_s=None))
    assert 6000 <= len(cut) < 6000 + 2 * 800 and np.abs(cut).sum() == pytest.approx(np.abs(wav).sum())


@pytest.mark.parametrize("loudness", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("length", [1, 100, 1600, RATE])
def test_all_words_are_one_second_of_one_loudness(loudness, length):
    speech = (loudness * np.random.default_rng(0).uniform(-1, 1, length)).astype(np.float32)
    wav = keyword_cuts.one_second(speech, 12.5)
    assert wav.shape == (RATE,) and wav.dtype == np.float32 and np.abs(wav).max() <= 1
    first = (RATE - length) // 2
    if length >= 1600:
        level = np.sqrt(np.mean(wav[first : first + length].astype(np.float64) ** 2))
        assert level == pytest.approx(keyword_cuts.LEVEL_RMS, rel=0.01)
        assert abs(wav[first]) < 5 * keyword_cuts.NOISE_RMS  # faded in
    around = np.concatenate([wav[:first], wav[first + length :]])
    if len(around):
        assert np.std(around) == pytest.approx(keyword_cuts.NOISE_RMS, rel=0.05)
    assert np.array_equal(wav, keyword_cuts.one_second(speech, 12.5))
    assert not np.array_equal(wav, keyword_cuts.one_second(speech, 12.6))


def test_a_silent_cut_is_faint_noise():
    assert np.std(keyword_cuts.one_second(np.zeros(3000, np.float32), 1.0)) < 2 * keyword_cuts.NOISE_RMS


def test_noises_of_the_test_are_no_noises_of_training(tmp_path):
    class Lengths:
        def load(self, source):
            return np.zeros(RATE - 1 if "short" in source else 2 * RATE)

    sounds = [item for item in recordings() if item.kind == "sound"]
    short = replace(next(item for item in sounds if item.split == "test"), clip="short", source="short")
    noises = speech_commands.plan_noises([*sounds, short], Lengths())
    assert "short" not in {item.clip for item, _ in noises.values()}
    for file, (item, seconds) in noises.items():
        assert (item.split, seconds) == (("test", 1) if file.startswith(TEST) else ("train", 0))
    kinds = Counter((item.split, item.speaker) for item, _ in noises.values())
    assert sum(kinds.values()) == 32 + speech_commands.NOISES
    assert min(kinds.values()) >= 5  # noise and music, in both


def test_a_build_names_every_file_and_speaker(tmp_path):
    store = Ramps(packs=20)
    store.samples = SAMPLES
    some = [item for item in recordings() if item.speaker == "bm_fable" or (item.kind, item.split) == ("queen", "test")]
    built = speech_commands.build(some, tmp_path, store, Here())
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.wav")} == {row.file for row in built}
    rows = (tmp_path / TEST / "aliases.tsv").read_text().splitlines()
    assert rows[0] == "alias\tspeaker"
    names = dict(row.split("\t") for row in rows[1:])
    assert set(names.values()) == {f"queen-{role}" for role in split.QUEEN_TEST}
    clips = [path for path in (tmp_path / TEST).glob("*/*.wav") if path.parent.name != "_silence_"]
    assert {path.name.partition("_nohash_")[0] for path in clips} == set(names)


class TestBuilt:
    @pytest.fixture
    def roots(self, built_samples):
        return {
            "speech_commands_root": str(built_samples / "speech_commands_v0.01"),
            "speech_commands_test_root": str(built_samples / TEST),
        }

    @pytest.fixture
    def stock(self, roots):
        """Training, dev and test as S3PRL reads them."""
        repairs.apply()
        from s3prl.downstream.speech_commands.dataset import SpeechCommandsDataset, SpeechCommandsTestingDataset
        from s3prl.downstream.speech_commands.expert import split_dataset

        lists = split_dataset(roots["speech_commands_root"])
        return [*(SpeechCommandsDataset(files, **roots) for files in lists), SpeechCommandsTestingDataset(**roots)]

    def test_counts_of_classes(self, stock):
        train, dev, test = (Counter(name for name, _ in dataset.data) for dataset in stock)
        assert test == TEST_COUNTS and sum(test.values()) >= 250
        assert dev == DEV_COUNTS | {"_silence_": speech_commands.NOISES}
        assert set(train) == set(CLASSES) and min(train.values()) >= 25

    def test_readme_has_the_share_of_each_class(self, built_samples):
        readme = (built_samples / "README.md").read_text()
        for label, count in TEST_COUNTS.items():
            assert re.search(
                rf"^ *\| {label} \| .*\| {count} \| {count / sum(TEST_COUNTS.values()):.1%} \|$", readme, re.M
            )

    def test_items_are_one_second(self, stock):
        for dataset in stock:
            for index in range(0, len(dataset), 7):
                wav, label, _ = dataset[index]
                assert len(wav) == RATE and CLASSES[label] == (
                    dataset.data[index][0] if dataset.data[index][0] in CLASSES else "_unknown_"
                )

    def test_words_of_all_sources_are_equally_loud(self, built_samples):
        """Real or synthetic, command or not, training or test: level and noise around the word tell nothing."""
        levels = defaultdict(list)
        for file, said in sorted(speech_commands.name_files(planned("small")).items())[::5]:
            wav, _ = soundfile.read(built_samples / file)
            levels[said.is_real, said.split, said.label == "_unknown_"].append(
                (np.sqrt(np.max(np.convolve(wav**2, np.ones(1600) / 1600, "valid"))), np.std(wav[:800]))
            )
        loud, faint = (np.array([np.median(values, axis=0)[part] for values in levels.values()]) for part in (0, 1))
        assert len(levels) == 8 and loud.max() / loud.min() < 1.6 and faint.max() / faint.min() < 1.1

    def test_words_are_those_of_their_sources(self, built_samples):
        """The built second correlates with its source at the stated times."""
        for file, said in sorted(speech_commands.name_files(planned("small")).items())[::60]:
            wav, _ = soundfile.read(built_samples / file)
            piece = keyword_cuts.cut(decode(SAMPLES, said.source), said)
            first = (RATE - len(piece)) // 2
            assert np.corrcoef(wav[first : first + len(piece)], piece)[0, 1] > 0.9, file
