"""scripts/samples/build.py: the same bytes each time, no half builds, one line for bad input."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmpt.scripts.samples import (
    av_clips,
    build_manifest,
    builder,
    diarization,
    librispeech,
    sample_must_c,
    speech_commands,
)
from mmpt.scripts.samples.build_folder import open_build_folder
from mmpt.scripts.samples.recordings import Store
from mmpt.scripts.samples.tables import read_recordings
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

SAMPLES = REPOSITORY / "samples"
COMMAND = [sys.executable, str(REPOSITORY / "scripts/samples/build.py")]


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)


def only_error_line(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    return result.stderr


def build_subset(root: Path, jobs: int) -> None:
    """Some of every corpus: a few audio-visual clips, and everything made of the prompts and readers."""
    recordings = [item for item in read_recordings(SAMPLES) if item.kind != "mrt" or item.clip.endswith("b01_w1")]
    prompts = [item for item in recordings if item.kind == "prompt" and item.language == "en"]
    chosen = [item for item in recordings if item.kind != "prompt"] + [
        item for name in ("train", "dev", "test") for item in [i for i in prompts if i.split == name][:9]
    ]
    store = Store(SAMPLES, root / ".decoded")
    with Workers(jobs) as workers:
        workers.run("decoding", store.add, [item.source for item in chosen])
        av_clips.build(chosen[::6], root, store, workers)
        sample_must_c.build(chosen, root, store, workers)
        librispeech.build(chosen, root, store, workers)
        diarization.build(chosen, root, store, workers, Path("/final"))


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_same_bytes_with_any_number_of_processes(tmp_path):
    for name, jobs in (("one", 1), ("two", 2)):
        build_subset(tmp_path / name, jobs)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert {Path(name).suffix for name in one} >= {".mp4", ".wav", ".flac", ".yaml", ".tsv"}
    assert one == two


def test_a_clip_alone_has_the_bytes_of_the_whole_build(tmp_path, built_samples):
    """A clip's bytes depend on its recording alone."""
    recording = next(item for item in read_recordings(SAMPLES) if item.clip == "M4_b10_w1")
    store = Store(SAMPLES, tmp_path / "decoded")
    store.add(recording.source)
    av_clips.write_clip(tmp_path, store, recording)
    name = f"av/{av_clips.clip_path(recording)}"
    assert (tmp_path / name).read_bytes() == (built_samples / name).read_bytes()


def test_second_build_does_nothing(built_samples):
    result = run("--out", built_samples)
    assert result.returncode == 0 and "built already" in result.stdout
    assert build_manifest.read_build_manifest(built_samples).root == str(built_samples)
    assert not (built_samples / builder.DECODED).exists()
    assert not list(built_samples.parent.glob(f".{built_samples.name}.building-*"))


@pytest.mark.slow
def test_foreign_folder_is_refused_even_fresh(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for arguments in ((), ("--fresh",)):
        assert "not a built samples folder" in only_error_line(run("--out", tmp_path, *arguments))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_build_of_another_version_is_rebuilt(tmp_path):
    out = tmp_path / "samples"
    out.mkdir()
    build_manifest.write_build_manifest(out, "other sources", out)
    assert not builder.is_built(out, "sources")
    builder.refuse_foreign(out)


def test_incomplete_folder_counts_as_not_built(tmp_path):
    (tmp_path / "a.wav").touch()
    build_manifest.write_build_manifest(tmp_path, "sources", tmp_path)
    assert builder.is_built(tmp_path, "sources")
    (tmp_path / "cache").touch()
    assert builder.is_built(tmp_path, "sources")
    (tmp_path / "a.wav").unlink()
    (tmp_path / "cache").unlink()
    assert not builder.is_built(tmp_path, "sources")


def test_moved_folder_gets_new_absolute_paths(tmp_path):
    root = tmp_path / "moved"
    for name in ("train", "dev", "test"):
        (root / f"diarization/{name}/wav").mkdir(parents=True)
        (root / f"diarization/{name}/wav/{name}_000.wav").touch()
    diarization.write_wav_scp(root, Path("/old/place"))
    build_manifest.write_build_manifest(root, "sources", Path("/old/place"))
    assert builder.is_built(root, "sources")
    table = (root / "diarization/dev/wav.scp").read_text()
    assert table == f"dev_000 {root}/diarization/dev/wav/dev_000.wav\n"
    assert build_manifest.read_build_manifest(root).root == str(root)


@pytest.mark.slow
@pytest.mark.parametrize(
    "missing", ["mrt/clips.tsv", "asterisk/prompts.tsv", "readers/clips.tsv", "lexicon.txt", "mrt/audio/F1_b01_w1.opus"]
)
def test_missing_source_is_one_line(tmp_path, missing):
    samples = tmp_path / "samples"
    shutil.copytree(SAMPLES, samples, copy_function=lambda source, target: Path(target).symlink_to(source))
    (samples / missing).unlink()
    assert missing in only_error_line(run("--samples", samples, "--out", tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples"]


@pytest.mark.slow
def test_missing_samples_folder_is_one_line(tmp_path):
    assert "no such folder" in only_error_line(run("--samples", tmp_path / "nowhere", "--out", tmp_path / "out"))


@pytest.mark.slow
def test_unreadable_recording_is_one_line_and_leaves_nothing(tmp_path):
    samples = tmp_path / "samples"
    shutil.copytree(SAMPLES, samples, copy_function=lambda source, target: Path(target).symlink_to(source))
    (samples / "mrt/audio/F1_b01_w1.opus").unlink()
    (samples / "mrt/audio/F1_b01_w1.opus").write_bytes(b"not sound")
    result = run("--samples", samples, "--out", tmp_path / "out", "--jobs", 1)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "F1_b01_w1.opus: cannot be read as sound" in result.stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples"]


@pytest.mark.slow
def test_terminated_build_leaves_nothing(tmp_path):
    process = subprocess.Popen([*COMMAND, "--out", tmp_path / "out", "--jobs", "1"], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: list(tmp_path.glob(".out.building-*/out/.decoded/*.npy")))
        process.terminate()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_abandoned_build_folders_are_deleted_and_others_kept(tmp_path):
    for name in (".out.building-dead", ".out.building-new"):
        (tmp_path / name).mkdir()
    (tmp_path / ".out.building-dead/lock").touch()
    with open_build_folder(tmp_path / "out") as first, open_build_folder(tmp_path / "out"):
        assert first.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [".out.building-new"]


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("line, problem", [("F9_b01_w1\tF9", "columns"), (None, "no split")])
def test_bad_table_names_the_line(tmp_path, line, problem):
    (tmp_path / "mrt").mkdir()
    header, first = (SAMPLES / "mrt/clips.tsv").read_text().splitlines()[:2]
    (tmp_path / "mrt/clips.tsv").write_text(f"{header}\n{line or first.replace('F1', 'F9')}\n")
    with pytest.raises(InputError, match=problem):
        read_recordings(tmp_path)


@pytest.mark.slow
def test_help_has_an_example():
    result = run("--help")
    assert result.returncode == 0
    assert "example:" in result.stdout and "--fresh" in result.stdout


def test_stand_in_words_can_be_told_apart():
    """Each has two proven takes per speaker, and any two differ in at least two of onset, vowel and coda."""
    from itertools import combinations

    from mmpt.scripts.samples.words import onset_vowel_coda

    unproven = {"dip", "sup", "seethe", "bat", "pub", "mat", "race", "buck", "sat", "bun"}
    mrt = [item for item in read_recordings(SAMPLES) if item.kind == "mrt" and item.speaker == "F1"]
    sounds = {item.word: onset_vowel_coda(item.arpabet) for item in mrt}
    words = list(speech_commands.STAND_INS.values())
    assert len(set(words)) == 10 and not unproven & set(words)
    assert all(sum(item.word == word for item in mrt) == 2 for word in words)
    for one, other in combinations(words, 2):
        assert sum(a != b for a, b in zip(sounds[one], sounds[other], strict=True)) >= 2, (one, other)
