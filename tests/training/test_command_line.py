"""A training command's choice of the run folder, which each process makes before it loads torch."""

import argparse
from pathlib import Path

import pytest

from mmpt.training.command_line import add_run_options, choose_run_folder, is_main_process
from mmpt.training.settings import TrainSettings, to_plain
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY


def choose(*argv: str):
    parser = argparse.ArgumentParser()
    add_run_options(parser, "a config", "a folder")
    arguments = parser.parse_intermixed_args(argv)
    return choose_run_folder(arguments, default=lambda: Path("default")), arguments


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run folder, beside an empty and a foreign one."""
    monkeypatch.chdir(tmp_path)
    folder, _ = choose("--out", str(tmp_path / "run"))
    folder.prepare(to_plain(TrainSettings()), fresh=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    return folder.path


@pytest.mark.parametrize(
    "argv, complaint",
    [
        (["--out", "run"], "holds a run already: --resume continues it"),
        (["--out", "run", "--resume", "--fresh"], "give one of them"),
        (["--out", "empty", "--resume"], "no run to resume here"),
        (["--resume"], "default: no run to resume here"),
        (["--out", "foreign", "--fresh"], "not a run folder"),
        (["--out", str(REPOSITORY / "training" / "new")], "holds the project's sources"),
    ],
)
def test_a_folder_that_may_not_be_used_is_an_error(run, argv, complaint):
    with pytest.raises(InputError, match=complaint):
        choose(*argv)


def test_resume_if_there_becomes_a_resume_or_a_new_run(run):
    _, arguments = choose("--out", "run", "--resume-if-there", "--fresh")
    assert arguments.resume and not arguments.fresh
    folder, arguments = choose("--resume-if-there", "optim.lr=1e-4")
    assert folder.path == Path("default") and not arguments.resume and arguments.overrides == ["optim.lr=1e-4"]


def test_one_process_of_several_writes(run, monkeypatch):
    assert is_main_process()
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        folder, _ = choose("--out", "new")
        assert is_main_process() == folder.writes == (rank == "0")
    folder.prepare({}, fresh=False)
    assert not Path("new").exists()


def test_fresh_deletes_the_run_and_leaves_nothing_else(run):
    (run / "encoder.pt").touch()
    folder, _ = choose("--out", "run", "--fresh")
    folder.prepare({"seed": 1}, fresh=True)
    assert sorted(path.name for path in run.iterdir()) == [".lock", "checkpoints", "config.yaml"]
    assert sorted(path.name for path in run.parent.iterdir()) == ["empty", "foreign", "run"]
