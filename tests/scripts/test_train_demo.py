"""train_demo.sh with stand-ins for its programs: what it trains with which settings, and that it repeats nothing."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mmpt.midtrain.settings import MidtrainSettings
from mmpt.pretrain.settings import PretrainSettings
from mmpt.training.settings import load_settings
from mmpt.upstream.repository import REPOSITORY

# Each notes its arguments, a line each, and makes the file that its command makes.
TORCHRUN = """#!/usr/bin/env bash
printf '%s\\t' torchrun "$OMP_NUM_THREADS" "$@" >> "$CALLS"; echo >> "$CALLS"
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"; touch "$2/encoder.pt"
"""
MMPT = """#!/usr/bin/env bash
printf '%s\\t' mmpt "$@" >> "$CALLS"; echo >> "$CALLS"
kind=$1
while [ "$1" != --out ]; do shift; done
case $kind in
    samples) mkdir -p "$2"; touch "$2/built.json" ;;
    prepare) mkdir -p "$2"; touch "$2/corpus.json" ;;
    export) touch "$2" ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts/train_demo.sh", tmp_path / "scripts")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name, text in (("torchrun", TORCHRUN), ("mmpt", MMPT)):
        (tmp_path / ".venv/bin" / name).write_text(text)
        (tmp_path / ".venv/bin" / name).chmod(0o755)
    return tmp_path


def train(clone: Path, *arguments: str) -> tuple[subprocess.CompletedProcess, list[list[str]]]:
    calls = clone / "calls"
    calls.unlink(missing_ok=True)
    command = ["bash", str(clone / "scripts/train_demo.sh"), *arguments]
    environment = {"PATH": "/usr/bin:/bin", "CALLS": str(calls)}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    lines = calls.read_text().splitlines() if calls.exists() else []
    return done, [line.rstrip("\t").split("\t") for line in lines]


@pytest.mark.slow
def test_three_trainings_and_an_export(clone):
    done, calls = train(clone, "out")
    assert done.returncode == 0, done.stderr
    assert [call[:2] for call in calls] == [
        ["mmpt", "samples"],
        ["torchrun", "1"],
        ["torchrun", "1"],
        ["mmpt", "prepare"],
        ["torchrun", "1"],
        ["mmpt", "export"],
    ]
    assert "--full" in calls[0] and calls[-1][2:] == ["out/en", "--half", "--out", "out/demo.pt"]
    settings = []
    for call, kind in zip((calls[1], calls[2], calls[4]), (PretrainSettings, MidtrainSettings, MidtrainSettings)):
        assert call[2:5] == ["--standalone", "--nproc-per-node", "2"] and "--resume-if-there" in call
        given = [word for word in call if "=" in word]
        config = REPOSITORY / Path(call[call.index("--config") + 1]).relative_to(clone)
        settings.append(load_settings(kind, config, given))
    first, second, third = settings
    assert first.preset == "compact" and first.device == "cpu"
    assert "out/clr/encoder.pt" in calls[2] and "out/it/encoder.pt" in calls[4]
    assert second.optim.warmup_steps < second.optim.steps < third.optim.steps and set(second.speeds) < set(third.speeds)


@pytest.mark.slow
def test_what_is_done_is_not_repeated_and_settings_are_passed_on(clone):
    (clone / "small").mkdir()
    (clone / "small/built.json").touch()
    (clone / "data").mkdir()
    (clone / "data/full").symlink_to(clone / "small")
    (clone / "out/clr").mkdir(parents=True)
    (clone / "out/clr/encoder.pt").touch()
    done, calls = train(clone, "out", "optim.steps=2", "optim.warmup_steps=1")
    assert done.returncode == 0 and "out/clr: is trained" in done.stdout
    assert [call[0] for call in calls] == ["torchrun", "mmpt", "torchrun", "mmpt"]
    assert all(call[-2:] == ["optim.steps=2", "optim.warmup_steps=1"] for call in calls if call[0] == "torchrun")
    done, calls = train(clone, "out", "optim.steps=2", "optim.warmup_steps=1")
    assert done.returncode == 0 and calls == []
    done, calls = train(clone, "out")
    assert done.returncode == 2 and calls == [] and "optim.steps=2" in done.stderr
    assert (clone / "out/demo.pt").exists() and train(clone, "other", "optim.steps=2")[0].returncode == 0


@pytest.mark.slow
def test_a_wrong_option_is_one_line(clone):
    done, calls = train(clone, "--steps")
    assert done.returncode == 2 and done.stderr.startswith("usage: ") and calls == []
