"""The drill that kills and resumes a run: our runs pass, and a difference is noticed."""

import json
import signal
import subprocess

import pytest
import torch
import yaml

from mmpt.scripts import drill_resume
from mmpt.scripts.drill_resume import differences, main, same
from mmpt.training.checkpoints import read_checkpoint
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

from helpers.clip_files import write_manifest
from helpers.forked_python import REAL_PYTHON
from helpers.processes import is_running, wait_for


@pytest.fixture(scope="module")
def drilled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drill")
    clips = [(f"t{i}", 1.0 + 0.1 * (i % 5), "train", "ab"[i % 2]) for i in range(20)]
    clips += [(f"d{i}", 1.2, "dev", "c") for i in range(3)]
    manifest = write_manifest(folder / "clips", clips)
    status = main(["--data", str(manifest), "--kills", "2", "--steps", "16", "--out", str(folder / "out")])
    return status, folder / "out"


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_an_unbroken_one(drilled):
    status, out = drilled
    assert status == 0 and differences(out / "killed", out / "unbroken") == []
    assert read_checkpoint(out / "killed" / "checkpoints" / "latest.pt")["step"] == 16
    killed, unbroken = (yaml.safe_load((out / name / "config.yaml").read_text()) for name in ("killed", "unbroken"))
    assert killed == unbroken


@pytest.mark.slow
def test_a_difference_is_noticed(drilled):
    _, out = drilled
    log = out / "killed" / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[3]["loss"] += 1e-9
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert differences(out / "killed", out / "unbroken") == ["log.jsonl"]
    assert not same({"a": [torch.zeros(2)]}, {"a": [torch.tensor([0.0, 1e-30])]})


def test_bad_input_is_one_line(tmp_path, capsys):
    assert main(["--kills", "5", "--steps", "3", "--out", str(tmp_path / "new")]) == 2
    (tmp_path / "killed").mkdir()
    assert main(["--out", str(tmp_path)]) == 2
    assert "--fresh" in capsys.readouterr().err


@pytest.mark.slow
def test_after_an_error_nothing_of_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(drill_resume, "PATIENCE_S", 0.0)
    child = "import subprocess; subprocess.run(['sleep', '600'])"
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **more: started.append(popen(*words, **more)) or started[0])

    def step_0_with_a_child(out):
        wait_for(lambda: list(drill_resume.children(started[0].pid)))
        started[1:] = drill_resume.children(started[0].pid)
        return 0

    monkeypatch.setattr(drill_resume, "logged_step", step_0_with_a_child)
    with pytest.raises(InputError, match="no step 1 within"):
        drill_resume.kill_after([REAL_PYTHON, "-c", child], tmp_path, 1, 0.0)
    assert len(started) == 2 and started[0].returncode == -signal.SIGKILL
    wait_for(lambda: not is_running(started[1]))


def test_fresh_deletes_nothing_but_a_drill(tmp_path, capsys):
    (tmp_path / "unbroken").mkdir()
    (tmp_path / "thesis.tex").touch()
    assert main(["--out", str(tmp_path), "--fresh"]) == 2
    assert "is no folder of a drill" in capsys.readouterr().err
    assert main(["--out", str(REPOSITORY / "pretrain"), "--fresh"]) == 2
    assert "the project's sources" in capsys.readouterr().err
    assert (tmp_path / "unbroken").is_dir() and (tmp_path / "thesis.tex").is_file()
