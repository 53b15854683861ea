"""Updates whose gradient is not finite change nothing, are counted, and end a run if there are too many in a row."""

import json

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmpt.pretrain.run import main
from mmpt.pretrain.task import AudioVisualTask
from mmpt.training.bad_updates import MAX_IN_A_ROW, BadUpdates
from mmpt.training.checkpoints import Checkpoints
from mmpt.training.optimizer import make_optimizer, restore_optimizer
from mmpt.training.settings import OptimSettings
from mmpt.training.trainer import Trainer
from mmpt.upstream.errors import InputError

from helpers.small_run import SMALL, write_small_manifest

CPU = torch.device("cpu")
FINITE, BAD = torch.tensor(1.0), torch.tensor(torch.nan)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_small_manifest(tmp_path_factory.mktemp("clips"))


def run(manifest, out, *more) -> int:
    return main(["--objective", "clr", "--data", str(manifest), "--out", str(out), *SMALL, *more])


def spoil(monkeypatch, updates) -> None:
    """Make the gradient of some updates, counted from 1, infinite or NaN."""
    loss, calls = AudioVisualTask.loss, []

    def spoiled(task, *arguments):
        calls.append(1)
        losses = loss(task, *arguments)
        return {**losses, "loss": losses["loss"] * (torch.inf if len(calls) in updates else 1.0)}

    monkeypatch.setattr(AudioVisualTask, "loss", spoiled)


def test_they_are_counted_in_a_row():
    updates = BadUpdates(CPU)
    seen = []
    for norm in (BAD, torch.tensor(torch.inf), FINITE, BAD):
        seen.append((updates.add(norm).item(), updates.in_a_row()))
    assert seen == [(1.0, 1), (1.0, 2), (0.0, 0), (1.0, 1)]
    resumed = BadUpdates(CPU, in_a_row=MAX_IN_A_ROW - 1)
    resumed.check("run")
    resumed.add(BAD)
    with pytest.raises(InputError, match=f"run: {MAX_IN_A_ROW} updates in a row"):
        resumed.check("run")


@pytest.mark.slow
@pytest.mark.parametrize("fused_before", [True, False])
def test_the_optimiser_skips_them_as_if_they_had_not_been(fused_before):
    """Also one that goes on from a checkpoint of the time when its steps were not fused."""
    weights = []
    for with_bad in (False, True):
        layer = nn.Linear(3, 2)
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
        optimizer = make_optimizer(layer, OptimSettings(lr=0.1))
        for norm in (FINITE, BAD, FINITE) if with_bad else (FINITE, FINITE):
            layer.weight.grad, layer.bias.grad = torch.ones(2, 3) * norm, torch.ones(2) * norm
            optimizer.found_inf = BadUpdates(CPU).add(norm)
            optimizer.step()
            state = optimizer.state_dict()
            groups = [{**group, "fused": fused_before} for group in state["param_groups"]]
            restore_optimizer(optimizer, {**state, "param_groups": groups})
        weights.append((layer.weight.detach(), optimizer.state[layer.weight]["step"]))
    assert torch.equal(weights[0][0], weights[1][0]) and weights[0][1] == weights[1][1] == 2


@pytest.mark.slow
def test_a_run_goes_on_after_one(manifest, tmp_path, monkeypatch):
    spoil(monkeypatch, {2})
    assert run(manifest, tmp_path / "run", "optim.steps=4") == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["skipped_updates"] for line in lines if line["split"] == "train"] == [0, 1, 0, 0]
    state = Checkpoints(tmp_path / "run").load_latest()
    assert state is not None and state["bad_steps"] == 0 and state["optimizer"]["state"][0]["step"] == 3
    assert all(value.isfinite().all() for value in state["model"].values())


@pytest.mark.slow
def test_many_in_a_row_end_the_run(manifest, tmp_path, monkeypatch, capsys):
    spoil(monkeypatch, range(3, 100))
    assert run(manifest, tmp_path / "run", "optim.steps=50", "checkpoint_every=1000", "validate_every=1000") == 2
    assert f"{MAX_IN_A_ROW} updates in a row had gradients that are not finite" in capsys.readouterr().err
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps[-1] == 2 + MAX_IN_A_ROW  # noticed in the update after it


class Reads(TorchDispatchMode):
    """Counts numbers that the processor reads from tensors: `item`, `float`, `bool` of one."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket is torch.ops.aten._local_scalar_dense
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
def test_an_update_reads_nothing_from_the_device_until_it_is_logged(manifest, tmp_path, monkeypatch):
    reads, step = [], Trainer.train_step

    def counted(trainer, update, updates):
        with Reads() as mode:
            upcoming = step(trainer, update, updates)
        reads.append(mode.count)
        return upcoming

    monkeypatch.setattr(Trainer, "train_step", counted)
    options = ["optim.steps=7", "log_every=3", "validate_every=7", "checkpoint_every=7"]
    assert run(manifest, tmp_path / "run", *options) == 0
    assert len(reads) == 7 and reads[0] == reads[1] == reads[3] == reads[4] == 0 and reads[6] > 0
