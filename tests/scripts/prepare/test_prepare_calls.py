"""What the commands for corpora of clips share: broken files, restarts, determinism, and what is never overwritten."""

import json
import os
import runpy
import sys
from pathlib import Path

import pytest

from mmpt.pretrain.manifest import read_manifest
from mmpt.scripts.prepare import kinetics600, media_headers, voxceleb2
from mmpt.scripts.prepare.lrs3 import main
from mmpt.scripts.prepare.media_headers import Journal
from mmpt.training.sole_use import sole_use
from mmpt.upstream.repository import REPOSITORY

from helpers.corpus_mocks import lrs3, media, place


@pytest.fixture
def root(tmp_path) -> Path:
    return lrs3(tmp_path / "lrs3")


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the files whose headers are read from now on, in any order."""
    names, read = [], media_headers.read_streams

    def noting(path: str, size: int):
        names.append("/".join(Path(path).parts[-3:]))
        return read(path, size)

    monkeypatch.setattr(media_headers, "read_streams", noting)
    return names


def call(root: Path, out: Path, *more: str) -> int:
    return main(["--root", str(root), "--out", str(out), *more])


def test_broken_files_are_left_out_with_the_reason(root, out, capfd):
    place(
        root,
        {
            "pretrain/eeeeeeeeeee/00001.mp4": "",
            "pretrain/eeeeeeeeeee/00002.mp4": "no media at all",
            "pretrain/eeeeeeeeeee/00003.mp4": "silent.mp4",
            "pretrain/eeeeeeeeeee/00004.mp4": "blind.mp4",
            "pretrain/eeeeeeeeeee/00005.mp4/inside.mp4": "whole.mp4",
        },
    )
    whole, folder = media()["whole.mp4"], root / "pretrain/eeeeeeeeeee"
    (folder / "00006.mp4").write_bytes(whole[: len(whole) // 2])  # its index is at the end
    os.mkfifo(folder / "00007.mp4")  # opening it would wait forever
    (folder / "00008.mp4").symlink_to("nowhere")
    (folder / "a\tb.mp4").write_bytes(whole)
    (folder / os.fsdecode(b"caf\xe9.mp4")).write_bytes(whole)
    (folder / "00009.mp4").write_bytes(whole.replace(b"Lavf", b"\xe9avf"))  # a tag that is not UTF-8: no fault
    assert call(root, out) == 0
    assert (out / "left_out.tsv").read_text(encoding="utf-8").splitlines() == [
        "file\treason",
        "pretrain/eeeeeeeeeee/00001.mp4\tempty file",
        "pretrain/eeeeeeeeeee/00002.mp4\tcannot be opened: Invalid data found when processing input",
        "pretrain/eeeeeeeeeee/00003.mp4\tno audio stream",
        "pretrain/eeeeeeeeeee/00004.mp4\tno video stream",
        "pretrain/eeeeeeeeeee/00005.mp4\tnot a regular file",
        "pretrain/eeeeeeeeeee/00006.mp4\tcannot be opened: Invalid data found when processing input",
        "pretrain/eeeeeeeeeee/00007.mp4\tnot a regular file",
        "pretrain/eeeeeeeeeee/00008.mp4\tnot a regular file",
        "pretrain/eeeeeeeeeee/a\\tb.mp4\tunprintable name",
        "pretrain/eeeeeeeeeee/caf\\udce9.mp4\tunprintable name",
    ]
    clips = {clip.id for clip in read_manifest(out / "manifest.tsv")}
    assert len(clips) == 7 and "pretrain/eeeeeeeeeee/00009" in clips
    counts = [line.split(maxsplit=1) for line in capfd.readouterr().out.splitlines()]
    assert ["train", "3        0.00"] in counts and ["3", "not a regular file"] in counts
    assert ["left", f"out: 10, listed in {out / 'left_out.tsv'}"] in counts


def test_pipe_made_after_the_search_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    assert media_headers.header_of(str(tmp_path), {}, "pipe.mp4")[1].video == "not a regular file"


def test_killed_call_continues_from_its_journal(root, out, opened):
    assert call(root, out) == 0
    manifest, journal = (
        (out / "manifest.tsv").read_bytes(),
        (out / "probed.jsonl").read_bytes().splitlines(keepends=True),
    )
    assert len(opened) == len(journal) == 6
    (out / "manifest.tsv").unlink()
    (out / "probed.jsonl").write_bytes(b"".join(journal[:3]) + journal[3][:40])  # killed while it wrote line 4
    kept = {json.loads(line)["file"] for line in journal[:3]}
    opened.clear()
    assert call(root, out) == 0
    assert len(opened) == 3 and not kept & set(opened)
    assert (out / "manifest.tsv").read_bytes() == manifest
    opened.clear()
    assert call(root, out) == 0
    assert opened == []  # the line after the cut one is complete


def test_changed_file_is_read_again(root, out, opened):
    assert call(root, out) == 0
    opened.clear()
    changed = root / "pretrain/aaaaaaaaaaa/00002.mp4"
    changed.write_bytes(media()["silent.mp4"])
    assert call(root, out, "--fresh") == 0
    assert opened == ["pretrain/aaaaaaaaaaa/00002.mp4"]
    assert "pretrain/aaaaaaaaaaa/00002.mp4\tno audio stream" in (out / "left_out.tsv").read_text()


def test_interrupt_is_one_line_and_keeps_what_was_read(root, out, opened, monkeypatch, capsys):
    monkeypatch.setattr(media_headers, "FILES_A_TASK", 1)
    add = Journal.add

    def add_two(journal, file, header):
        if len(added) == 2:
            raise KeyboardInterrupt
        added.append(file)
        add(journal, file, header)

    added = []
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", add_two)
        assert call(root, out, "--jobs", "1") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert sorted(path.name for path in out.iterdir()) == [".lock", "probed.jsonl"]
    opened.clear()
    assert call(root, out) == 0
    # A set, because a thread of the first call may have been late.
    assert len(set(opened)) == 4 and not set(added) & set(opened)


def test_file_without_permission_is_tried_again(root, out, monkeypatch):
    def refuse(path: str, size: int):
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(media_headers, "read_streams", refuse)
        assert call(root, out) == 2
    assert (out / "left_out.tsv").read_text().count("cannot be read: Permission denied") == 6
    assert call(root, out) == 0


def test_number_of_jobs_changes_no_byte(root, tmp_path):
    place(root, {"pretrain/eeeeeeeeeee/00002.mp4": "no media at all", "trainval/fffffffffff/00001.mp4": ""})
    for jobs in ("1", "2", "7"):
        assert call(root, tmp_path / jobs, "--jobs", jobs) == 0
    for name in ("manifest.tsv", "left_out.tsv"):
        assert len({(tmp_path / jobs / name).read_bytes() for jobs in ("1", "2", "7")}) == 1


def test_linked_folders_are_read_once(root, out):
    elsewhere = (root / "pretrain").rename(root.parent / "disk2")
    (root / "pretrain").symlink_to(elsewhere)
    (root / "trainval/round").symlink_to(root)
    assert call(root, out) == 0
    assert len(read_manifest(out / "manifest.tsv")) == 6
    assert (out / "left_out.tsv").read_text() == "file\treason\n"


def test_other_manifest_is_not_overwritten(root, out, capsys):
    assert call(root, out) == 0
    before = {path.name: path.read_bytes() for path in out.glob("*.tsv")}
    assert set(before) == {"manifest.tsv", "left_out.tsv"}
    assert call(root, out) == 0  # nothing new
    place(root, {"trainval/eeeeeeeeeee/50001.mp4": "whole.mp4", "trainval/eeeeeeeeeee/50002.mp4": ""})
    capsys.readouterr()
    assert call(root, out) == 2
    assert "manifest.tsv: is there already, with other content; --fresh" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.glob("*.tsv*")} == before
    assert call(root, out, "--fresh") == 0
    assert len(read_manifest(out / "manifest.tsv")) == 7


def test_two_calls_do_not_write_one_folder(root, out, capsys):
    out.mkdir()
    with sole_use(out):
        assert call(root, out) == 2
    assert "another call is writing here" in capsys.readouterr().err
    assert call(root, out) == 0


@pytest.mark.parametrize("command", [kinetics600.main, voxceleb2.main, main])
def test_other_layout_is_one_line(command, tmp_path, capsys):
    annotation = "label,youtube_id,time_start,time_end,split\nyoga,aaaaaaaaaaa,0,10,train\n"
    root = place(tmp_path / "other", {"clips/one.mp4": "whole.mp4", "train.csv": annotation})
    assert command(["--root", str(root), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "no clip of" in error and "--help" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "more, problem",
    [
        (["--root", "/nowhere"], "--root /nowhere: no such folder"),
        (["--jobs", "0"], "--jobs 0"),
        (["--dev-percent", "100"], "--dev-percent 100"),
        (["--dev-percent", "few"], "--dev-percent few"),
    ],
)
def test_bad_options_are_one_line(root, out, capsys, more, problem):
    assert call(root, out, *more) == 2
    error = capsys.readouterr().err
    assert problem in error and error.count("\n") == 1 and not out.exists()


def test_corpus_without_a_usable_clip_is_one_line(root, out, capsys):
    for file in root.rglob("*.mp4"):
        file.write_bytes(b"")
    assert call(root, out) == 2
    assert f"none of 6 clips can be used; see {out / 'left_out.tsv'} for the reasons" in capsys.readouterr().err
    assert (out / "left_out.tsv").read_text().count("empty file") == 6 and not (out / "manifest.tsv").exists()


@pytest.mark.parametrize("command", [kinetics600.main, voxceleb2.main, main])
def test_help_describes_layout_and_columns(command, capsys):
    with pytest.raises(SystemExit):
        command(["--help"])
    text = capsys.readouterr().out
    assert all(part in text for part in ("├──", "example:", "python scripts/prepare/", "duration_s", "left_out.tsv"))


def test_command_runs_from_any_folder(root, out, monkeypatch):
    script = REPOSITORY / "scripts/prepare/lrs3.py"
    monkeypatch.chdir(root.parent)
    monkeypatch.setattr(sys, "argv", [str(script), "--root", root.name, "--out", "out"])
    monkeypatch.syspath_prepend(script.parent)  # where Python looks first when it is given a script
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert all(clip.video.is_absolute() and clip.video.is_file() for clip in read_manifest(out / "manifest.tsv"))
