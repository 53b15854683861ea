"""Files and folders that are written whole or not at all, and the hint about a mistyped name."""

import os
import stat
from pathlib import Path

import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import (
    remove_abandoned,
    remove_folder,
    replacing,
    replacing_folder,
    write_bytes,
    write_text,
)
from mmpt.upstream.nearest import did_you_mean


def test_a_file_is_replaced_whole(tmp_path):
    file = tmp_path / "table.tsv"
    write_text(file, "first\r\n")
    write_text(file, "äöü\n")
    assert file.read_bytes() == "äöü\n".encode() and os.listdir(tmp_path) == ["table.tsv"]
    write_bytes(file, b"\x00\xff", sync=True)
    assert file.read_bytes() == b"\x00\xff" and os.listdir(tmp_path) == ["table.tsv"]


def fail(error, file):
    """Write half of something, then fail."""
    file.write_text("half")
    raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(error, tmp_path):
    file = tmp_path / "table.tsv"
    write_text(file, "old")
    with pytest.raises(error), replacing(file) as temporary:
        fail(error, temporary)
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["table.tsv"]


def test_an_error_before_anything_is_written_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="nothing yet"), replacing(tmp_path / "table.tsv"):
        raise ValueError("nothing yet")
    assert os.listdir(tmp_path) == []


def test_files_are_readable_by_others_as_the_umask_has_it(tmp_path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "shared", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o644


def test_a_symbolic_link_is_moved_at_one_stroke(tmp_path):
    for target in ("step_1.pt", "step_2.pt"):
        with replacing(tmp_path / "latest.pt") as temporary:
            temporary.symlink_to(target)
    assert os.readlink(tmp_path / "latest.pt") == "step_2.pt"


def test_two_writers_never_share_a_temporary_name(tmp_path):
    with replacing(tmp_path / "one") as first, replacing(tmp_path / "one") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "one").read_text() == "first"  # the last one to be renamed
    assert os.listdir(tmp_path) == ["one"]


def test_a_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "new" / "run"
    for name in ("first", "second"):
        with replacing_folder(folder) as temporary:
            write_text(temporary / name, name)
    assert os.listdir(folder) == ["second"] and os.listdir(folder.parent) == ["run"]


def test_an_error_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_text(folder / "kept", "kept")
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder) as temporary:
        fail(KeyboardInterrupt, temporary / "half")
    assert os.listdir(folder) == ["kept"] and os.listdir(tmp_path) == ["run"]


def test_a_folder_that_is_absent_can_be_removed(tmp_path):
    (tmp_path / "run" / "inner").mkdir(parents=True)
    remove_folder(tmp_path / "run")
    remove_folder(tmp_path / "run")
    assert os.listdir(tmp_path) == []


def test_a_symbolic_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "disk" / "run").mkdir(parents=True)
    link = tmp_path / "run"
    link.symlink_to("disk/run")
    for name in ("first", "second"):
        with replacing_folder(link) as temporary:
            write_text(temporary / name, name)
        assert os.listdir(tmp_path / "disk" / "run") == [name]
    remove_folder(link)
    assert os.listdir(tmp_path / "disk") == [] and link.is_symlink()
    with replacing_folder(link) as temporary:
        write_text(temporary / "third", "third")
    assert os.listdir(tmp_path / "disk" / "run") == ["third"] and sorted(os.listdir(tmp_path)) == ["disk", "run"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder, rename = tmp_path / "run", Path.rename
    folder.mkdir()
    write_text(folder / "kept", "kept")

    def fails_for_the_new_one(path, target):
        if (path / "new").exists():
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    with pytest.raises(OSError, match="No space left"), replacing_folder(folder) as temporary:
        write_text(temporary / "new", "new")
    assert os.listdir(folder) == ["kept"] and os.listdir(tmp_path) == ["run"]


def test_a_mount_point_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path.resolve())
    (tmp_path / "kept").touch()
    with pytest.raises(InputError, match="is a mount point"):
        remove_folder(tmp_path)
    assert os.listdir(tmp_path) == ["kept"]


def test_a_folder_is_no_file_to_replace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", tmp_path):
        with pytest.raises(IsADirectoryError), replacing(path):
            pass
    assert os.listdir(tmp_path) == []


def test_what_killed_processes_left_is_deleted(tmp_path):
    for name in (".shard.tar.0a1b2c3d.tmp", ".hidden", "kept.tmp"):
        (tmp_path / name).touch()
    (tmp_path / ".run.01234567.tmp" / "checkpoints").mkdir(parents=True)
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", "kept.tmp"]


def test_a_hint_offers_the_nearest_names_once_each():
    assert did_you_mean("stps", ["steps", "seed"], prefix="optim.") == "did you mean optim.steps?"
    assert did_you_mean("mmptav", ["fbank", "mmpt_av", "mmpt_av"], most=3) == "did you mean mmpt_av?"
    assert did_you_mean("tes", ["test", "tess", "x"], most=2) == "did you mean test or tess?"


def test_a_hint_lists_what_is_known_if_nothing_is_near():
    assert did_you_mean("zzz", ["steps", "seed"]) == "known are steps, seed"
    assert did_you_mean(3, ["steps"], otherwise="see --help") == "see --help"
