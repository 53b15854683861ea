"""scripts/samples/build.py: the same bytes each time, no half builds, one line for bad input."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmpt.scripts.samples import av_clips, build_manifest, builder, diarization, mrt_keywords
from mmpt.scripts.samples.build_folder import open_build_folder
from mmpt.scripts.samples.pack_tables import read_packs
from mmpt.scripts.samples.provenance import BuiltFile, write_provenance
from mmpt.scripts.samples.recordings import Store
from mmpt.scripts.samples.tables import Recording, read_recordings
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

from helpers.processes import wait_for

SAMPLES = REPOSITORY / "samples"
COMMAND = [sys.executable, str(REPOSITORY / "scripts/samples/build.py")]


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)


def only_error_line(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    return result.stderr


def some_recordings() -> list[Recording]:
    """A few of every kind and split; of queen, two roles of each split, so that mixtures can be made."""
    roles = {"queen-JOE", "queen-WITCH", "queen-ZOMBIE", "queen-TAM", "queen-BOB", "queen-FAYE"}
    groups: dict[tuple, list[Recording]] = {}
    for item in [*read_recordings(SAMPLES), *read_packs(SAMPLES)]:
        if item.kind != "queen" or item.speaker in roles:
            group = (item.kind, item.language, item.split, item.speaker if item.kind == "queen" else "")
            groups.setdefault(group, []).append(item)
    return [item for (kind, *_), items in groups.items() for item in items[: 16 if kind == "queen" else 4]]


def build_subset(root: Path, jobs: int) -> None:
    """Build all corpora of some recordings, few mouths among them; keywords of MRT need all words, and are left out."""
    chosen = some_recordings()
    store = Store(SAMPLES, root / ".decoded")
    with Workers(jobs) as workers:
        workers.run("decoding", store.add, [item.source for item in chosen])
        for corpus in builder.CORPORA:
            if corpus is not mrt_keywords:
                corpus.build(chosen[::8] if corpus is av_clips else chosen, root, store, workers)
        diarization.build(chosen, root, store, workers, Path("/final"))


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_same_bytes_with_any_number_of_processes(tmp_path):
    for name, jobs in (("one", 1), ("two", 2)):
        build_subset(tmp_path / name, jobs)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert {Path(name).suffix for name in one} >= {".mp4", ".wav", ".flac", ".yaml", ".tsv"}
    assert {Path(name).parts[0] for name in one} == {
        ".decoded",
        "LibriSpeech",
        "av",
        "diarization",
        "fluent_speech_commands_dataset",
        "mrt",
        "must_c",
        "speech_commands_test_set_v0.01",
        "speech_commands_v0.01",
        "unseen_phrases",
    }
    assert one == two


def test_a_clip_alone_has_the_bytes_of_the_whole_build(tmp_path, built_samples):
    """A clip's bytes depend on its recording alone."""
    recording = next(item for item in read_recordings(SAMPLES) if item.clip == "F1_b10_w1")
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


def test_build_of_another_version_or_size_is_rebuilt(tmp_path):
    out = tmp_path / "samples"
    out.mkdir()
    build_manifest.write_build_manifest(out, "other sources", "small", out)
    assert builder.is_built(out, "other sources", "small")
    assert not builder.is_built(out, "sources", "small")
    assert not builder.is_built(out, "other sources", "full")
    builder.refuse_foreign(out)


def test_incomplete_folder_counts_as_not_built(tmp_path):
    (tmp_path / "a.wav").touch()
    build_manifest.write_build_manifest(tmp_path, "sources", "small", tmp_path)
    assert builder.is_built(tmp_path, "sources", "small")
    (tmp_path / "cache").touch()
    assert builder.is_built(tmp_path, "sources", "small")
    (tmp_path / "a.wav").unlink()
    (tmp_path / "cache").unlink()
    assert not builder.is_built(tmp_path, "sources", "small")


def test_a_lost_file_is_noticed_beside_a_cache(tmp_path):
    write_provenance(tmp_path, [BuiltFile("KS", "train", name, ("clip",)) for name in ("a.wav", "b.wav")])
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).touch()
    build_manifest.write_build_manifest(tmp_path, "sources", "small", tmp_path)
    (tmp_path / "cache").touch()
    assert builder.is_built(tmp_path, "sources", "small")
    (tmp_path / "a.wav").unlink()
    assert not builder.is_built(tmp_path, "sources", "small")


def test_a_folder_that_appears_during_a_build_is_left_alone(tmp_path):
    building, final = tmp_path / "building", tmp_path / "samples"
    (building / "samples").mkdir(parents=True)
    final.mkdir()
    (final / "thesis.tex").touch()
    with pytest.raises(InputError, match="is not a built samples folder"):
        builder.put_in_place(building / "samples", final, building, "sources", "small")
    assert (final / "thesis.tex").is_file()


def test_what_is_built_is_of_this_version(built_samples):
    """If this fails, what the builder writes has changed: raise VERSION, so that folders of before are rebuilt."""
    table = (built_samples / "provenance.tsv").read_bytes()  # each file, and the recordings in it
    assert (build_manifest.VERSION, hashlib.sha256(table).hexdigest()[:16]) == (8, "eb7f915dcfd36529")


@pytest.fixture
def sizes_built(monkeypatch) -> list[str]:
    """The sizes that were built: a file each takes the place of the corpora."""
    sizes: list[str] = []
    monkeypatch.setattr(build_manifest, "hash_sources", lambda samples, names: "sources")

    def build_corpora(recordings, dropped, root, samples, final_root, jobs, size):
        sizes.append(size)
        root.mkdir()
        (root / f"{size}.wav").touch()

    monkeypatch.setattr(builder, "build_corpora", build_corpora)
    return sizes


def test_a_full_folder_does_for_a_small_one_and_stays_full(tmp_path, sizes_built):
    out = tmp_path / "samples"

    def build(**options) -> str:
        return builder.build_samples(out, SAMPLES, jobs=1, **options)

    assert "(small)" in build() and "built already (small)" in build() and sizes_built == ["small"]
    assert "(full)" in build(full=True) and sizes_built == ["small", "full"]
    assert [path.name for path in out.glob("*.wav")] == ["full.wav"]
    assert "built already (full)" in build() and "built already (full)" in build(full=True)
    assert "(full)" in build(fresh=True) and sizes_built == ["small", "full", "full"]
    (out / "full.wav").unlink()  # damaged, or of another version: what is built again is full
    assert "(full)" in build() and sizes_built[3:] == ["full"]


def test_a_full_folder_that_another_build_finished_first_stays(tmp_path):
    """A full build ends while a small one is under way."""
    building, final = tmp_path / "building", tmp_path / "samples"
    for root, size in ((building / "samples", "small"), (final, "full")):
        root.mkdir(parents=True)
        (root / f"{size}.wav").touch()
        build_manifest.write_build_manifest(root, "sources", size, final)
    builder.put_in_place(building / "samples", final, building, "sources", "small")
    assert (final / "full.wav").is_file() and builder.is_built(final, "sources", "full")


def test_moved_folder_gets_new_absolute_paths(tmp_path):
    root = tmp_path / "moved"
    for name in ("train", "dev", "test"):
        (root / f"diarization/{name}/wav").mkdir(parents=True)
        (root / f"diarization/{name}/wav/{name}_000.wav").touch()
    diarization.write_wav_scp(root, Path("/old/place"))
    build_manifest.write_build_manifest(root, "sources", "small", Path("/old/place"))
    assert builder.is_built(root, "sources", "small")
    table = (root / "diarization/dev/wav.scp").read_text()
    assert table == f"dev_000 {root}/diarization/dev/wav/dev_000.wav\n"
    assert build_manifest.read_build_manifest(root).root == str(root)


@pytest.mark.slow
@pytest.mark.parametrize(
    "missing",
    ["mrt/clips.tsv", "lexicon.txt", "mrt/audio/F1_b01_w1.opus", "packs/queen/lines.tsv", "packs/bass/audio.zip"],
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
    assert "example:" in result.stdout and "--fresh" in result.stdout and "--full" in result.stdout
