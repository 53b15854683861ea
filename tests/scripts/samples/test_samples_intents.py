"""Intents by synthetic voices: voices apart, and one phrase of most intents that no training voice says."""

import csv
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from mmpt.scripts.samples import fluent_commands, size, split, texts
from mmpt.scripts.samples.pack_tables import read_commands
from mmpt.scripts.samples.provenance import read_provenance
from mmpt.scripts.samples.tables import Recording
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner import repairs

from helpers.sample_builders import RATE, Here, Ramps

SAMPLES = REPOSITORY / "samples"
SLOTS = ("action", "object", "location")
MAIN, UNSEEN = "fluent_speech_commands_dataset", "unseen_phrases/fluent_speech_commands_dataset"


@cache
def intents() -> list[Recording]:
    return texts.drop_repeated_texts(read_commands(SAMPLES, "intent")).recordings


def rows_of(root: Path, corpus: str, name: str) -> list[dict[str, str]]:
    with (root / corpus / "data" / f"{name}_data.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def check_tables(root: Path) -> None:
    """Check that voices are apart, that the unseen phrases are, and that both roots give S3PRL the same labels."""
    tables = {
        (corpus, name): rows_of(root, corpus, name) for corpus in (MAIN, UNSEEN) for name in ("train", "valid", "test")
    }
    for corpus in (MAIN, UNSEEN):
        voices = [{row["speakerId"] for row in tables[corpus, name]} for name in ("train", "valid", "test")]
        assert all(voices) and sum(map(len, voices)) == len(set().union(*voices))
        assert voices[2] == set(split.VOICES_TEST) and voices[1] == set(split.VOICES_DEV)
    phrases = {key: {row["transcription"] for row in rows} for key, rows in tables.items()}
    assert phrases[MAIN, "train"] == phrases[MAIN, "valid"] == phrases[MAIN, "test"]
    assert phrases[UNSEEN, "train"] == phrases[MAIN, "train"] and not phrases[UNSEEN, "test"] & phrases[MAIN, "train"]
    labels = {key: [[row[slot] for slot in SLOTS] for row in rows] for key, rows in tables.items()}
    for name in ("train", "valid"):
        assert labels[UNSEEN, name] == labels[MAIN, name]
    trained = set(map(tuple, labels[MAIN, "train"]))
    assert trained == set(map(tuple, labels[MAIN, "test"])) and set(map(tuple, labels[UNSEEN, "test"])) <= trained
    assert len(labels[MAIN, "test"]) >= 600


def test_one_phrase_of_each_intent_is_held_out():
    everything = read_commands(SAMPLES, "intent")
    phrases = defaultdict(set)
    for item in everything:
        phrases[item.intent].add(item.text)
    unseen = texts.unseen_phrases(everything)
    assert {intent: len(said & unseen) for intent, said in phrases.items()} == {
        intent: int(len(said) > 1) for intent, said in phrases.items()
    }
    assert unseen == texts.unseen_phrases(everything[::-1]) == texts.unseen_phrases(intents())
    one_phrase = [item for item in everything if item.text == "Lamp on."]
    assert texts.unseen_phrases(one_phrase) == set()


def line(kind: str, side: str, text: str) -> Recording:
    return Recording(f"{kind}-{side}", kind, f"{kind}-{side}", "voice", "en", text, side)


def test_an_unseen_phrase_is_dropped_wherever_it_would_train():
    everything = read_commands(SAMPLES, "intent")
    phrase = min(texts.unseen_phrases(everything))
    others = [line("queen", "train", phrase.upper()), line("queen", "dev", phrase), line("bass", "test", phrase)]
    seen = min({item.text for item in everything} - texts.unseen_phrases(everything))
    kept = texts.drop_repeated_texts([*everything, *others, line("bass", "train", seen)])
    said = [item for item in kept.recordings if texts.text_key(item.text) == texts.text_key(phrase)]
    assert {item.split for item in said} == {"test"} and {item.kind for item in said} == {"intent", "bass"}
    assert "bass-train" in {item.source for item in kept.recordings}
    number = len(texts.unseen_phrases(everything))
    assert kept.dropped == {
        ("intent", "train"): number * len(split.VOICES_TRAIN),
        ("intent", "dev"): number * len(split.VOICES_DEV),
        ("queen", "train"): 1,
        ("queen", "dev"): 1,
    }


@pytest.mark.parametrize("which, voices", [("small", 7), ("full", 15)])
def test_tables_without_a_build(tmp_path, monkeypatch, which, voices):
    monkeypatch.setattr(fluent_commands, "write_wav", lambda corpus, store, clip: None)
    chosen = size.choose(intents(), which, ())
    built = fluent_commands.build(chosen, tmp_path, Ramps(), Here())
    check_tables(tmp_path)
    assert Counter(row.split for row in built) == {"train": 71 * voices, "dev": 71 * 4, "test": 102 * 9}
    about = fluent_commands.about(tmp_path, chosen)
    assert f"train {71 * voices:,} clips of {voices} voices; dev 284 clips of 4 voices; test 639 clips of 9" in about
    assert "Its test (279 clips)" in about and "31 phrases" in about


class TestBuilt:
    def test_tables_and_provenance(self, built_samples):
        check_tables(built_samples)
        sides = {row.file: row.split for row in read_provenance(built_samples)}
        for name, side in (("train", "train"), ("valid", "dev"), ("test", "test")):
            for row in rows_of(built_samples, MAIN, name):
                assert sides[f"{MAIN}/{row['path']}"] == side

    def test_no_stage_trains_on_an_unseen_phrase(self, built_samples):
        """Neither the clips of this corpus nor those of any other that train hold one, whoever says it."""
        unseen = texts.unseen_phrases(read_commands(SAMPLES, "intent"))
        held_out = {item.source for item in read_commands(SAMPLES, "intent") if item.text in unseen}
        for row in read_provenance(built_samples):
            assert row.split == "test" or not held_out & set(row.source_clips), row.file

    @pytest.mark.parametrize("corpus", [MAIN, UNSEEN])
    def test_stock_class_reads_all_splits(self, built_samples, corpus):
        import pandas

        repairs.apply()
        from s3prl.downstream.fluent_commands.dataset import FluentCommandsDataset

        root = built_samples / corpus
        frames = {name: pandas.read_csv(root / f"data/{name}_data.csv") for name in ("train", "valid", "test")}
        # As S3PRL builds it: labels come from training, a value that is unseen there is a KeyError.
        labels = {slot: {name: i for i, name in enumerate(dict.fromkeys(frames["train"][slot]))} for slot in SLOTS}
        assert [len(labels[slot]) for slot in SLOTS] == [6, 14, 4]
        for frame in frames.values():
            assert not frame[list(SLOTS)].isna().any().any()
            dataset = FluentCommandsDataset(frame, str(root), labels)
            for index in range(0, len(dataset), 37):
                wav, label, stem = dataset[index]
                assert wav.ndim == 1 and len(wav) > RATE / 2
                assert stem == Path(frame.path[index]).stem and label.shape == (3,)
