"""Manifests: what is written is read again, wherever the files lie; bad lines are errors, and nothing is left half."""

from pathlib import Path

import pytest

from mmpt.pretrain.manifest import Clip, read_manifest, write_manifest
from mmpt.upstream.errors import InputError


def clip(id: str, video: Path, **fields) -> Clip:
    usual = {"audio": video, "start_s": 0.0, "duration_s": 1.0, "split": "train", "set": "mock", "group": "a"}
    return Clip(**{"id": id, "video": video} | usual | fields)


def test_written_manifest_is_read_again(tmp_path):
    clips = [
        clip("b", tmp_path / "é/b.mp4", audio=tmp_path / "b.m4a", start_s=1.5),
        clip("a", Path('/elsewhere/a "1".mp4'), split="dev", group=""),
    ]
    assert write_manifest(tmp_path / "m.tsv", iter(clips)) == 2
    assert read_manifest(tmp_path / "m.tsv") == clips
    (tmp_path / "windows.tsv").write_bytes("\ufeff".encode() + (tmp_path / "m.tsv").read_bytes())
    assert read_manifest(tmp_path / "windows.tsv") == clips


def test_files_inside_the_folder_are_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_manifest(Path("lists/m.tsv"), [clip("in", Path("lists/clips/a.mp4")), clip("out", tmp_path / "listsB/a.mp4")])
    lines = (tmp_path / "lists/m.tsv").read_text().splitlines()
    assert lines[1].split("\t") == ["in", "clips/a.mp4", "clips/a.mp4", "0.000000", "1.000000", "train", "mock", "a"]
    assert lines[2].split("\t")[1] == f"{tmp_path}/listsB/a.mp4"


@pytest.mark.parametrize(
    "bad",
    [
        {"video": Path("/a\tb.mp4")},
        {"group": "two\nlines"},
        {"video": Path("/caf\udce9.mp4")},
        {"split": "valid"},
        {"duration_s": 1e-9},
        {"duration_s": float("inf")},
        {"start_s": -1.0},
        {"id": "first"},
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, bad):
    write_manifest(tmp_path / "m.tsv", [clip("before", Path("/a.mp4"))])
    before = (tmp_path / "m.tsv").read_bytes()
    with pytest.raises(InputError, match="m.tsv: clip"):
        write_manifest(
            tmp_path / "m.tsv", [clip("first", Path("/a.mp4")), clip(**{"id": "bad", "video": Path("/b.mp4")} | bad)]
        )
    assert [path.name for path in tmp_path.iterdir()] == ["m.tsv"] and (tmp_path / "m.tsv").read_bytes() == before


def test_clips_cannot_be_changed(tmp_path):
    with pytest.raises((AttributeError, TypeError)):
        clip("a", tmp_path).split = "dev"
    assert not hasattr(clip("a", tmp_path), "__dict__")


@pytest.mark.parametrize(
    "line, complaint",
    [
        ("x\tx.mp4\tx.mp4\t0\tsoon\ttrain\tm\ta", "duration_s"),
        ("x\tx.mp4\tx.mp4\t0\tnan\ttrain\tm\ta", "duration_s"),
        ("x\tx.mp4\tx.mp4\t0\t1\tvalid\tm\ta", "split"),
        ("x\tx.mp4\tx.mp4\t0\t1\ttrain\tm", "columns"),
        ("x\tx.mp4\tx.mp4\t-1\t1\ttrain\tm\ta", "start_s"),
    ],
)
def test_a_bad_line_is_an_error_with_its_number(tmp_path: Path, line, complaint):
    file = tmp_path / "manifest.tsv"
    file.write_text("id\tvideo\taudio\tstart_s\tduration_s\tsplit\tset\tgroup\n" + line + "\n")
    with pytest.raises(InputError, match=f"line 2.*{complaint}"):
        read_manifest(file)
