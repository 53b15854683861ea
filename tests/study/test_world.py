"""Where a study runs: which corpora it takes, and what tells them from others."""

import json
from pathlib import Path

import pytest

from mmpt.study import world as study_world
from mmpt.study.plan import read_plan
from mmpt.study.world import Data, find_data


def samples(folder: Path, size: str, version: int = 7) -> Path:
    folder.mkdir(parents=True)
    mark = {"format": "mmpt-samples", "version": version, "sources": "abc", "size": size}
    (folder / "built.json").write_text(json.dumps(mark))
    return folder


def data_in(folder: Path, clips: Path | None = None) -> Data:
    return Data(clips or folder / "av/manifest.tsv", folder / "must_c", folder, are_samples=clips is None)


def test_samples_are_known_by_version_wherever_they_lie(tmp_path):
    first, second = samples(tmp_path / "a", "full"), samples(tmp_path / "b/c", "full")
    newer, small = samples(tmp_path / "d", "full", 8), samples(tmp_path / "e", "small")
    assert data_in(first).versions() == data_in(second).versions()
    assert len({data_in(folder).versions() for folder in (first, newer, small)}) == 3
    assert data_in(first).described() == "the samples, full" and data_in(small).described() == "the samples, small"


def test_clips_of_the_users_are_known_beside_samples(tmp_path):
    folder = samples(tmp_path / "a", "full")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/built.json").write_text("{}")  # of another program
    mine, others = (data_in(folder, tmp_path / "clips/av" / name) for name in ("mine.tsv", "others.tsv"))
    assert mine.versions() != others.versions() and "mine.tsv" in mine.described()


@pytest.mark.parametrize(
    "there, named, size, expected",
    [
        (None, False, "small", ("data", False)),
        (None, False, "full", ("full", True)),
        ("small", False, "full", ("full", True)),
        ("full", False, "small", ("data", True)),
        ("small", True, "full", ("data", False)),  # named by $MMPT_SAMPLES: as it is
        (None, True, "full", ("data", True)),
    ],
)
def test_samples_of_at_least_the_plans_size_are_built(tmp_path, monkeypatch, there, named, size, expected):
    usual, calls = tmp_path / "data", []
    if there:
        samples(usual, there)
    monkeypatch.setattr(study_world, "samples_folder", lambda: usual)
    monkeypatch.setattr(study_world, "REPOSITORY", tmp_path)
    monkeypatch.setattr(study_world, "run_command", lambda *command: calls.append(command))
    monkeypatch.setenv("MMPT_SAMPLES", str(usual) if named else "")
    plan = read_plan("quick" if size == "small" else "evening")
    found = find_data(plan, None, None, None)
    folder = usual if expected[0] == "data" else tmp_path / "data" / "full"
    assert found.are_samples and found.root == folder and found.must_c == folder / "must_c"
    assert calls == [("scripts/samples/build.py", "--out", str(folder), *(["--full"] if expected[1] else []))]
