"""Results belong to runs/superb/NAME, and what was documented before, superb/NAME, still runs."""

import json
import shutil
from pathlib import Path

import pytest

from mmpt.scripts.report import main as report
from mmpt.scripts.superb.run import main as run
from mmpt.scripts.superb.score import main as score
from mmpt.scripts.superb.submit import main as submit
from mmpt.superb import results_folder
from mmpt.superb.results_folder import input_path, output_folder
from mmpt.superb.submission import bundle as bundles
from mmpt.upstream import output
from mmpt.upstream.errors import InputError

import helpers.fake_superb_run as fake


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository with some code, as working directory."""
    for file in ("superb/__init__.py", "superb/jobs.py", "superb/report/__init__.py", "scripts/report.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setattr(results_folder, "CODE", tmp_path / "superb")
    monkeypatch.setattr(results_folder, "RESULTS", tmp_path / "runs/superb")
    monkeypatch.setattr(output, "REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "typed, used",
    [
        ("superb/first", "runs/superb/first"),
        ("./superb/first/", "runs/superb/first"),
        ("superb/group/first", "runs/superb/group/first"),
        ("superb", "runs/superb/results"),
    ],
)
def test_the_former_place_is_taken_as_the_new_one(clone, capsys, typed, used):
    assert output_folder(Path(typed)) == Path(used)
    assert capsys.readouterr().err == f"{Path(typed)}: taken as {used} (superb/ holds the project's code)\n"
    (clone / used).mkdir(parents=True)
    assert input_path(Path(typed)) == Path(used)


@pytest.mark.parametrize("typed", ["runs/superb/first", "bundle", "../elsewhere/superb/first", "superb_first"])
def test_other_folders_are_taken_as_typed(clone, capsys, typed):
    assert output_folder(Path(typed)) == input_path(Path(typed)) == Path(typed)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "typed, suggested",
    [
        ("superb/report", "runs/superb/report"),
        ("superb/jobs.py", "runs/superb/jobs.py"),
        ("scripts/first", "runs/superb/NAME"),
        (".git", "runs/superb/NAME"),
        (".", "runs/superb/NAME"),
    ],
)
def test_sources_are_refused(clone, typed, suggested):
    with pytest.raises(InputError, match=f"--out {typed}: holds the project's sources; .* such as {suggested}$"):
        output_folder(Path(typed))


def test_results_of_before_are_used_where_they_lie(clone, capsys):
    (clone / "superb/first").mkdir()
    assert output_folder(Path("superb/first")) == input_path(Path("superb/first")) == Path("superb/first")
    (clone / "superb/results.json").touch()
    assert input_path(Path("superb")) == Path("superb")
    assert capsys.readouterr().err == ""


def test_what_is_read_and_exists_nowhere_is_left_as_typed(clone):
    assert input_path(Path("superb/absent")) == Path("superb/absent")
    assert input_path(Path("superb")) == Path("superb")
    assert input_path(Path("superb/report")) == Path("superb/report")


def test_outside_the_repository_a_folder_may_be_called_superb(clone, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert output_folder(Path("superb/first")) == Path("superb/first")


def test_commands_run_as_they_were_documented(clone, capsys, monkeypatch):
    cost = bundles.Cost(1, dict.fromkeys(("short", "medium", "long", "longer"), 1))
    monkeypatch.setattr(bundles, "known_cost", lambda *_: cost)
    monkeypatch.setattr(bundles, "check_hidden_set", lambda *_: [])
    made = fake.results(clone / "made", {"pre": fake.encoder(clone / "made/pre", fake.PRE)}, seeds=(1,))
    shutil.copytree(made, clone / "runs/superb/first")
    assert report(["superb/first", "--out", "report"]) == 0 and (clone / "report/report.html").is_file()
    assert submit(["--results", "superb/first", "--out", "bundle", "--allow-partial"]) == 0
    truth = str(clone / "made/corpora/diarization")
    assert score(["bundle", "--truth", "superb/first", truth]) == 0
    assert json.loads((clone / "bundle/score.json").read_text())["scores"].keys() == set(fake.SCORES)
    assert capsys.readouterr().err.count("superb/first: taken as runs/superb/first") == 3


@pytest.mark.parametrize("typed, used", [("superb/first", "runs/superb/first"), ("superb", "runs/superb/results")])
def test_run_writes_to_the_new_place(clone, capsys, typed, used):
    noise = fake.stock_mocks.superb(clone / "noise")
    assert run(["--encoder", "fbank", "--tasks", "ks", "--data-root", str(noise), "--out", typed, "--dry-run"]) == 0
    assert f"-p {clone / used}/ks/fbank/lr-default-seed1337/experiment" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        lambda out: run(["--encoder", "fbank", "--out", out]),
        lambda out: submit(["--results", "superb/first", "--out", out]),
        lambda out: report(["nowhere", "--out", out]),
    ],
)
def test_each_command_refuses_sources_in_one_line(clone, capsys, command):
    assert command("superb/report") == 2
    remedy = "give another folder, such as runs/superb/report"
    assert capsys.readouterr().err == f"error: --out superb/report: holds the project's sources; {remedy}\n"
