"""Parts of the builder without a build: what each corpus takes of which recording, and one line for each bad source."""

import av
import numpy as np
import pytest
import soundfile

from mmpt.scripts.samples import (
    av_clips,
    build_manifest,
    builder,
    locate,
    readme,
    recordings,
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


def test_the_first_pronunciation_counts_and_a_missing_lexicon_is_named(tmp_path):
    (tmp_path / "lexicon.txt").write_text("A\tAH0\nA(1)\tEY1\nTHE\tDH AH0\n")
    with pytest.raises(InputError, match="lexicon_extra.txt: no such lexicon"):
        words.read_lexicon(tmp_path)
    (tmp_path / "lexicon_extra.txt").write_text("THE\tDH IY0\nMMPT\tEH2 M\n")
    assert words.read_lexicon(tmp_path) == {"A": "AH0", "THE": "DH AH0", "MMPT": "EH2 M"}


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
        recordings.decode(tmp_path, "empty.flac")
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
    build_manifest.write_build_manifest(folder / "samples", name, "small", final)
    return folder, final


def test_a_new_build_replaces_the_old_one(tmp_path):
    folder, final = new_build(tmp_path)
    final.mkdir()
    (final / "old.wav").touch()
    build_manifest.write_build_manifest(final, "old sources", "small", final)
    builder.put_in_place(folder / "samples", final, folder, "sources", "small")
    assert (final / "new.wav").is_file() and not (final / "old.wav").exists()
    assert (folder / "replaced" / "old.wav").is_file()


@pytest.mark.parametrize("theirs, is_same", [("sources", True), ("other sources", False)])
def test_a_build_that_finished_first_stays(tmp_path, monkeypatch, theirs, is_same):
    folder, final = new_build(tmp_path)
    final.mkdir()
    (final / "theirs.wav").touch()
    build_manifest.write_build_manifest(final, theirs, "small", final)
    monkeypatch.setattr(builder, "refuse_foreign", lambda root: None)
    looked, is_dir = [], type(final).is_dir  # the folder appears right after it was looked for
    monkeypatch.setattr(type(final), "is_dir", lambda path: bool(looked) and is_dir(path) or bool(looked.append(path)))
    if is_same:
        builder.put_in_place(folder / "samples", final, folder, "sources", "small")
    else:
        with pytest.raises(InputError, match="appeared during the build"):
            builder.put_in_place(folder / "samples", final, folder, "sources", "small")
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
