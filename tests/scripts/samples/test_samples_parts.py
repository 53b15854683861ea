"""Parts of the builder without a build: what each corpus takes of which recording, and one line for each bad source."""

import csv
from dataclasses import replace

import av
import numpy as np
import pytest
import soundfile

from mmpt.scripts.samples import (
    av_clips,
    build_manifest,
    builder,
    fluent_commands,
    librispeech,
    locate,
    readme,
    recordings,
    speech_commands,
    tables,
    words,
)
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.tables import Recording, read_recordings
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

SAMPLES = REPOSITORY / "samples"
MRT = [item for item in read_recordings(SAMPLES) if item.kind == "mrt"]
RATE = 16000


class Ramps:
    """In place of the store: every recording is a ramp of two seconds, or is as long as `seconds` tells."""

    def __init__(self, **seconds: float):
        self.seconds = seconds

    def load(self, source: str) -> np.ndarray:
        length = int(RATE * self.seconds.get(source.partition("/")[0], 2))
        return np.linspace(0, 0.5, length, dtype=np.float32)


class Here:
    """In place of the pool: everything is done in this process."""

    def run(self, title, make, items):
        return [make(item) for item in items]


def test_speech_commands_are_cut_from_the_middle_of_words(tmp_path):
    store = Ramps(noise=20)
    built = speech_commands.build(MRT, tmp_path, store, Here())
    files = {row.file: row for row in built}
    assert len(files) == len(built) == 4 * (2 * 10 + 2) + 4 + 2
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.wav")} == set(files)
    take = next(item for item in MRT if (item.word, item.speaker) == ("sun", "M4"))
    cut, _ = next((cut, name) for cut, name in speech_commands.plan_words(MRT, store) if cut.source == take.source)
    assert cut.file.startswith("speech_commands_test_set_v0.01/yes/") and cut.file.endswith("_nohash_0.wav")
    middle_s = take.word_onset_s + take.word_duration_s / 2
    assert cut.start == min(round(middle_s * RATE) - 8000, RATE) and cut.samples == RATE
    found, rate = soundfile.read(tmp_path / cut.file, dtype="float32")
    assert rate == RATE and np.abs(found - store.load(take.source)[cut.start : cut.start + RATE]).max() < 1e-4
    seconds = sorted(row.source_clips[0] for row in built if row.source_clips[0].startswith("noise/music_system"))
    assert seconds == ["noise/music_system.opus#0-14", "noise/music_system.opus#17-18"]
    length = {row.file: len(soundfile.read(tmp_path / row.file)[0]) for row in built if "music_system" in row.file}
    assert sorted(length.values()) == [RATE, 14 * RATE]


@pytest.mark.parametrize("speaker, split", [("F1", "train"), ("F3", "dev"), ("M4", "test")])
def test_an_alias_hashes_into_its_split(speaker, split):
    name = speech_commands.alias(speaker, split)
    low, high = speech_commands.PERCENTAGES[split]
    assert low <= speech_commands.hash_percentage(name) < high and len(name) == 8 and int(name, 16) >= 0


def test_speech_commands_name_what_is_missing(tmp_path):
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
            speech_commands.plan_words(clips, store)
    with pytest.raises(InputError, match=f"noise/pink.flac: ends before sample {9 * RATE}"):
        speech_commands.write_cut(tmp_path, Ramps(), speech_commands.Cut("noise/pink.flac", 8 * RATE, RATE, "a.wav"))
    assert not list(tmp_path.iterdir())


def test_intents_are_onset_vowel_and_coda(tmp_path):
    clips = [item for item in MRT if item.clip.endswith("b01_w1")]
    built = fluent_commands.build([*clips, replace(clips[0], kind="reader")], tmp_path, Ramps(), Here())
    assert [row.source_clips for row in built] == [(clip.source,) for clip in clips]
    assert all((tmp_path / row.file).is_file() for row in built)
    rows = {}
    for split, table in fluent_commands.TABLES.items():
        with (tmp_path / fluent_commands.ROOT / "data" / table).open(encoding="utf-8") as lines:
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


def test_the_first_pronunciation_counts_and_a_missing_lexicon_is_named(tmp_path):
    (tmp_path / "lexicon.txt").write_text("A\tAH0\nA(1)\tEY1\nTHE\tDH AH0\n")
    with pytest.raises(InputError, match="lexicon_extra.txt: no such lexicon"):
        words.read_lexicon(tmp_path)
    (tmp_path / "lexicon_extra.txt").write_text("THE\tDH IY0\nMMPT\tEH2 M\n")
    assert words.read_lexicon(tmp_path) == {"A": "AH0", "THE": "DH AH0", "MMPT": "EH2 M"}


def test_words_without_phones_are_named(tmp_path):
    said = librispeech.Utterance(replace(MRT[0], text="Say the word, please."), "dev-clean", 7, 1, 0)
    with pytest.raises(InputError, match="no phones for PLEASE, WORD; add them"):
        librispeech.write_lexicon(tmp_path, [said], {"SAY": "S EY1", "THE": "DH AH0"})


def test_tables_with_other_columns_or_splits_are_named(tmp_path):
    (tmp_path / "asterisk").mkdir()
    table = tmp_path / "asterisk" / "prompts.tsv"
    header = "id\ten\tsplit\tit\tfr\tes\tru\tde\tnl\n"
    for text, message in (
        (header.replace("\tnl", ""), "prompts.tsv: column missing: nl"),
        (f"{header}hello\tHello\tvalid\t-\t-\t-\t-\t-\t-\n", "hello has the split 'valid', not train, dev or test"),
    ):
        table.write_text(text)
        with pytest.raises(InputError, match=message):
            tables.read_prompts(tmp_path)


def test_sound_that_cannot_be_read_or_written_is_named(tmp_path):
    soundfile.write(tmp_path / "empty.flac", np.zeros(0, np.float32), RATE)
    with pytest.raises(InputError, match="empty.flac: (holds no sound|cannot be read as sound).*; restore samples/"):
        recordings.decode(tmp_path / "empty.flac")
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(InputError, match=r"a\.wav: cannot be written"):
        recordings.write_sound(tmp_path / "a.wav", np.zeros(9, np.float32))


def test_a_pyav_without_h264_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"aac"})
    with pytest.raises(InputError, match="no libx264 encoder"):
        av_clips.encode(tmp_path / "a.mp4", np.zeros((1, 168, 112), np.uint8), np.zeros(640, np.float32))


def test_files_are_counted_by_corpus_and_split():
    built = [BuiltFile(corpus, split, "f", ("s",)) for corpus, split in [("b", "dev"), ("a", "train"), ("b", "dev")]]
    assert readme.count_table(built).splitlines()[2:] == ["| b | 0 | 2 | 0 |", "| a | 1 | 0 | 0 |"]
    assert readme.listed([("F1", "train"), ("M4", "test")]) == "F1 train, M4 test"


def test_a_missing_recording_is_named(tmp_path):
    lost = Recording("mrt/audio/lost.opus", "mrt", "lost", "F1", "en", "", "train")
    with pytest.raises(InputError, match="lost.opus: missing; restore the repository's samples folder"):
        builder.source_files([MRT[0], lost], SAMPLES)


def new_build(tmp_path, name="sources"):
    """Return a build folder with a finished build, and its final place."""
    folder, final = tmp_path / "building", tmp_path / "samples"
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "new.wav").touch()
    build_manifest.write_build_manifest(folder / "samples", name, final)
    return folder, final


def test_a_new_build_replaces_the_old_one(tmp_path):
    folder, final = new_build(tmp_path)
    final.mkdir()
    (final / "old.wav").touch()
    builder.put_in_place(folder / "samples", final, folder, "sources")
    assert (final / "new.wav").is_file() and not (final / "old.wav").exists()
    assert (folder / "replaced" / "old.wav").is_file()


@pytest.mark.parametrize("theirs, is_same", [("sources", True), ("other sources", False)])
def test_a_build_that_finished_first_stays(tmp_path, monkeypatch, theirs, is_same):
    folder, final = new_build(tmp_path)
    final.mkdir()
    (final / "theirs.wav").touch()
    build_manifest.write_build_manifest(final, theirs, final)
    looked, is_dir = [], type(final).is_dir  # the folder appears right after it was looked for
    monkeypatch.setattr(type(final), "is_dir", lambda path: bool(looked) and is_dir(path) or bool(looked.append(path)))
    if is_same:
        builder.put_in_place(folder / "samples", final, folder, "sources")
    else:
        with pytest.raises(InputError, match="appeared during the build"):
            builder.put_in_place(folder / "samples", final, folder, "sources")
    assert (final / "theirs.wav").exists() and not (final / "new.wav").exists()


def test_the_builder_is_asked_once_and_told_of(tmp_path, monkeypatch, capsys):
    calls = []

    def run(command, **options):
        calls.append((command[-1], options["stdout"]))
        return locate.subprocess.CompletedProcess(command, "broken" in command[-1])

    monkeypatch.setattr(locate.subprocess, "run", run)
    monkeypatch.setenv("MMPT_SAMPLES", str(tmp_path / "new"))
    assert locate.built_samples() == locate.built_samples() == tmp_path / "new"
    assert calls == [(str(tmp_path / "new"), None)]
    assert "building the sample corpora in" in capsys.readouterr().err
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "README.md").touch()
    monkeypatch.setenv("MMPT_SAMPLES", str(tmp_path / "old"))
    assert locate.built_samples() == tmp_path / "old" and calls[1][1] == locate.subprocess.DEVNULL
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("MMPT_SAMPLES", str(tmp_path / "broken"))
    with pytest.raises(InputError, match="broken: the sample corpora could not be built"):
        locate.built_samples()
    monkeypatch.setattr(locate, "is_clone", lambda: False)
    with pytest.raises(InputError, match="only the repository has the sample recordings"):
        locate.built_samples()
    assert len(calls) == 3
