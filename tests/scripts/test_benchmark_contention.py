"""The benchmark of training beside busy processes: its ratios and limits, and that both stages can be timed."""

import subprocess
from types import SimpleNamespace

import pytest
import torch

from mmpt.pretrain.settings import VideoSettings
from mmpt.pretrain.tubelets import mean_tubelets
from mmpt.scripts.benchmark import contention, contention_training
from mmpt.upstream.errors import InputError


@pytest.fixture
def stubbed(monkeypatch, tmp_path):
    """Measure nothing: alone `before` takes 2 ms; `chosen` takes 1, 2 and `slow` ms. Return the calls."""
    calls, slow = [], SimpleNamespace(ms=3.0)

    def train(stage, setting, loads, updates):
        calls.append((stage, setting, loads, updates))
        times = {0: 2e-3, 1: 9e-3, 3: 9e-3} if setting == "before" else {0: 1e-3, 1: 2e-3, 3: slow.ms / 1e3}
        return {load: times[load] for load in loads}

    monkeypatch.setattr(contention, "train", train)
    monkeypatch.setattr(contention, "built_samples", lambda: tmp_path)
    return SimpleNamespace(calls=calls, slow=slow)


def test_ratios_are_to_the_setting_before_alone(stubbed, capsys):
    assert contention.main(["--rounds", "2", "--settings", "chosen,before", "--stages", "2"]) == 0
    assert stubbed.calls == [(2, "before", [0], 40), (2, "chosen", [0, 1, 3], 40)] * 2
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(("before", "chosen"))]
    assert [(row[0], row[1], float(row[3])) for row in rows] == [
        ("before", "0", 1.0),
        ("chosen", "0", 0.5),
        ("chosen", "1", 1.0),
        ("chosen", "3", 1.5),
    ]
    assert [row[-1] for row in rows] == ["1.00)", "1.05", "1.5", "4"]


def test_a_missed_limit_is_the_exit_status(stubbed, capsys):
    stubbed.slow.ms = 8.1  # 4.05 times as long as alone
    assert contention.main(["--rounds", "1", "--stages", "1", "--busy-before", "--updates", "0.01"]) == 1
    assert stubbed.calls == [(1, "before", [0, 1, 3], 1), (1, "chosen", [0, 1, 3], 1)]
    missed = [line for line in capsys.readouterr().out.splitlines() if "MISSED" in line]
    assert len(missed) == 1 and missed[0].split()[:2] == ["chosen", "3"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--stages", "1,3"], "--stages are of 1,2"),
        (["--settings", "before,choosen"], "--settings of before,chosen"),
        (["--rounds", "0"], "--rounds at least 1"),
        (["--settings", "chosen"], "compared with `before`, which is missing"),
    ],
)
def test_bad_input_is_one_line(stubbed, arguments, message, capsys):
    assert contention.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not stubbed.calls


def test_a_training_process_has_its_settings_variables_alone(monkeypatch):
    seen = []

    def run(command, env, **_):
        seen.append((command, env))
        return subprocess.CompletedProcess(command, 0, 'epoch 1\n{"0": 0.5, "3": 2.0}\n', "")

    monkeypatch.setattr(contention.subprocess, "run", run)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MMPT_TEST", "kept")
    assert contention.train(1, "passive", [0, 3], 4) == {0: 0.5, 3: 2.0}
    assert contention.train(2, "chosen", [0], 4) == {0: 0.5, 3: 2.0}
    (command, passive), (chosen, without) = seen
    assert passive["OMP_WAIT_POLICY"] == "PASSIVE" and passive["MMPT_TEST"] == "kept"
    assert "OMP_NUM_THREADS" not in passive and "OMP_WAIT_POLICY" not in without
    assert command[3:6] == ["1", "4", "0,3"] and command[-1] == "--as-before"
    assert chosen[3:6] == ["2", "4", "0"] and "--as-before" not in chosen


def test_a_failed_training_is_one_error_with_its_reason(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback ...\nMemoryError: all gone\n")
    monkeypatch.setattr(contention.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InputError, match="(?s)stage 2 could not be trained: .*MemoryError: all gone"):
        contention.train(2, "before", [0], 1)


def test_means_were_the_same_before():
    settings = VideoSettings(size=32, frames=4)
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (2, 3, 4, 32, 32), dtype=torch.uint8, generator=generator)
    assert torch.equal(contention_training.mean_tubelets_before(video, settings), mean_tubelets(video, settings))


def test_units_are_counted_over_epochs():
    task = SimpleNamespace(unit="clips", counts=len, batches=lambda epoch, skip: [[epoch] * 2, [epoch]])
    task.counts = lambda batch: {"clips": len(batch), "frames": 100}
    trainer = SimpleNamespace(task=task)
    units, batches = contention_training.count_units(trainer), contention_training.endless(trainer)
    met = [next(batches) for _ in range(5)]
    assert met == [[0, 0], [0], [1, 1], [1], [2, 2]]
    assert [task.counts(batch)["frames"] for batch in met] == [100] * 5
    assert units == [8]


@pytest.mark.parametrize("stage, setting, loads", [(1, "one-thread", [0]), (2, "chosen", [0, 1])])
def test_a_stage_is_timed(built_samples, stage, setting, loads):
    found = contention.train(stage, setting, loads, 1)
    assert list(found) == loads and all(0 < seconds < 60 for seconds in found.values())
