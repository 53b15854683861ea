"""The translation corpus: which pairs it takes, how lines become talks, and what the built folders hold."""

import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from mmpt.scripts.samples import sample_must_c, translation_pairs
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.texts import text_key
from mmpt.scripts.samples.translation_pairs import LANGUAGES, choose_pairs, why_no_pair

SPLITS = ("train", "dev", "tst-COMMON")
GAME_LANGUAGES = ("it", "de", "fr", "es", "pt")


class Seconds:
    """In place of the store: every recording lasts one second."""

    def load(self, source: str) -> np.ndarray:
        return np.zeros(16000, dtype=np.float32)


def line(clip: str, split: str, text: str, speaker: str = "bass-c01", **translations: str) -> Recording:
    return Recording(f"packs/bass/audio.zip/{clip}.opus", "bass", clip, speaker, "en", text, split, "-", "", "", 0, 0,
                     translations)  # fmt: skip


@pytest.mark.parametrize(
    "text, translation, reason",
    [
        ("I had to inspect it.", "Ho dovuto ispezionarlo.", None),
        ("What's it for?", "A cosa serve?", None),
        ("Oh - yes!", "Oh, sì!", translation_pairs.TOO_SHORT),
        ("The end of all", "the end, of ALL!", translation_pairs.NOT_TRANSLATED),
        ("What is it for?", "Ma che cosa diavolo è questo, e a che cosa serve?", translation_pairs.OTHER_LENGTH),
        ("I had to inspect all of it.", "Sì, sì.", translation_pairs.OTHER_LENGTH),
    ],
)
def test_a_pair_has_some_words_and_a_sensible_translation(text, translation, reason):
    assert why_no_pair(text, translation) == reason


def test_no_translation_is_in_two_splits():
    lines = [
        line("a", "train", "We go home now", it="Andiamo a casa"),
        line("b", "train", "We stay here now", it="Restiamo qui ora"),
        line("c", "dev", "Let us go home", it="Andiamo a casa."),
        line("d", "dev", "You stay right here", it="Resta qui"),
        line("e", "test", "We are going home", it="andiamo a casa!"),
        line("f", "train", "Stay here with me", it="RESTA QUI"),
        line("g", "train", "Oh no", it="Oh no no"),
        line("h", "train", "Not in Italian at all", fr="Pas en italien"),
    ]
    pairs = choose_pairs(lines, "it")
    assert {Path(source).stem for source in pairs.kept} == {"b", "d", "e"}
    assert pairs.dropped == {
        ("train", translation_pairs.REPEATED): 2,
        ("dev", translation_pairs.REPEATED): 1,
        ("train", translation_pairs.TOO_SHORT): 1,
    }


def test_talks_are_lines_of_one_speaker_and_keep_their_names_in_every_build():
    text, italian = "What is it for?", "A che cosa serve?"
    held_out = [line(f"d{n}", "dev", text, f"bass-c{n % 2}", it=f"{italian} {n}") for n in range(20)]
    trained = [line(f"t{n}", "train", text, it=f"{italian} {n + 50}", de="Wozu dient das?") for n in range(9)]
    lines = [*trained, *held_out, line("short", "dev", "What?", it="Cosa?")]
    all_pairs = [choose_pairs(lines, language) for language in ("it", "de")]
    talks = sample_must_c.plan_talks(lines, all_pairs, Seconds())
    assert [(talk.name, talk.split, len(talk.lines), talk.languages) for talk in talks] == [
        ("ted_1.wav", "dev", 8, ("it",)),
        ("ted_2.wav", "dev", 2, ("it",)),
        ("ted_3.wav", "dev", 8, ("it",)),
        ("ted_4.wav", "dev", 2, ("it",)),
        ("ted_5.wav", "train", 8, ("it", "de")),
        ("ted_6.wav", "train", 1, ("it", "de")),
    ]
    assert [item.clip for item in talks[0].lines] == [f"d{n}" for n in range(0, 16, 2)]
    assert talks[1].starts == (6400, 6400 + 16000 + 6400)
    alone = sample_must_c.plan_talks(held_out, all_pairs, Seconds())
    assert [(talk.name, talk.lines) for talk in alone] == [(talk.name, talk.lines) for talk in talks[:4]]


@cache
def read_split(root: Path, language: str, split: str) -> tuple[list[dict], list[str], list[str]]:
    folder = root / f"must_c/en-{language}/data/{split}/txt"
    segments = yaml.load((folder / f"{split}.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    english, translated = ((folder / f"{split}.{name}").read_text().splitlines() for name in ("en", language))
    return segments, english, translated


def test_segments_and_texts_fit(built_samples):
    for language in LANGUAGES:
        for split in SPLITS:
            segments, english, translated = read_split(built_samples, language, split)
            assert len(segments) == len(english) == len(translated)
            assert all(text.strip() for text in (*english, *translated))
            ends: dict[str, float] = {}
            for segment, text in zip(segments, english, strict=True):
                assert list(segment) == ["duration", "offset", "rW", "uW", "speaker_id", "wav"]
                assert segment["rW"] == len(text.split())
                assert segment["offset"] >= ends.get(segment["wav"], 0)
                ends[segment["wav"]] = segment["offset"] + segment["duration"]
            assert len(segments) > 2 * len(ends)  # several segments to a wav
            folder = built_samples / f"must_c/en-{language}/data/{split}/wav"
            assert set(ends) == {path.name for path in folder.iterdir()}
            for wav, end in ends.items():
                assert end < soundfile.info(folder / wav).duration


def test_dev_and_tests_are_large_enough_and_have_no_text_of_another_split(built_samples):
    for language in LANGUAGES:
        lines = {split: read_split(built_samples, language, split) for split in SPLITS}
        if language in GAME_LANGUAGES:
            assert min(len(lines[split][0]) for split in ("dev", "tst-COMMON")) >= 200
            assert len(lines["train"][0]) >= 400
        for side in (1, 2):
            train, dev, test = ({text_key(text) for text in lines[split][side]} for split in SPLITS)
            assert not train & dev and not train & test and not dev & test


def test_sources_of_a_language_are_as_stated(built_samples):
    speakers = {
        language: {
            s["speaker_id"].split(".")[1].split("-")[0]
            for split in SPLITS
            for s in read_split(built_samples, language, split)[0]
        }  # fmt: skip
        for language in LANGUAGES
    }
    assert all(speakers[language] == {"bass", "drascula", "Allison"} for language in ("it", "de", "fr", "es"))
    assert speakers["pt"] == {"bass"} and speakers["ru"] == speakers["nl"] == {"Allison"}
    train, _, test = (
        {s["speaker_id"] for s in read_split(built_samples, "it", split)[0] if "drascula" in s["speaker_id"]}
        for split in SPLITS
    )
    assert train == {"spk.drascula-HACKER"} and not train & test and len(test) == 9


def test_lines_are_spelled_as_published(built_samples):
    pattern = (
        r"- \{duration: \d+\.\d{6}, offset: \d+\.\d{6}, rW: \d+, uW: \d+, speaker_id: spk\.[\w-]+, wav: ted_\d+\.wav\}"
    )
    for text in (built_samples / "must_c/en-es/data/dev/txt/dev.yaml").read_text().splitlines():
        assert re.fullmatch(pattern, text)


def test_languages_share_their_sound(built_samples):
    folders = [built_samples / f"must_c/en-{language}/data/dev/wav" for language in LANGUAGES]
    name = sorted(path.name for path in (built_samples / "must_c/en-pt/data/dev/wav").iterdir())[0]
    paths = [folder / name for folder in folders if (folder / name).is_file()]
    assert len(paths) == len(GAME_LANGUAGES)
    assert len({path.read_bytes() for path in paths}) == 1
    assert all(os.stat(path).st_nlink in (1, len(paths)) for path in paths)
