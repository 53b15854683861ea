"""Where commands may write."""

import subprocess
from pathlib import Path

import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.output import SOURCES, check_output, source_folder
from mmpt.upstream.repository import REPOSITORY


def test_every_tracked_folder_is_a_source():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    folders = {name.split("/")[0] for name in listed.stdout.split("\0") if "/" in name}
    assert folders <= set(SOURCES)


@pytest.mark.parametrize("folder", ["", "superb", "superb/report/new", "scripts", ".git", "docs/../tests"])
def test_sources_are_refused(folder):
    with pytest.raises(InputError, match="holds the project's sources; .* such as runs/pretrain/NAME"):
        check_output(REPOSITORY / folder, "runs/pretrain/NAME")


@pytest.mark.parametrize("folder", ["runs/superb/first", "result", "bundle", "superb_first"])
def test_other_folders_are_not(folder):
    assert check_output(REPOSITORY / folder, "runs/NAME") == REPOSITORY / folder


def test_a_relative_path_is_seen_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_folder(Path("superb/first")) is None
    monkeypatch.chdir(REPOSITORY)
    assert (source_folder(Path("superb/first")), source_folder(Path("."))) == ("superb", ".")
