"""Runs of stage 1 whose updates are cut into parts, and whose blocks are checkpointed."""

import json
from pathlib import Path

import pytest
import torch

from mmpt.pretrain.run import main
from mmpt.training.checkpoints import read_checkpoint
from mmpt.upstream.mmpt_av import config
from mmpt.upstream.repository import REPOSITORY

from helpers.kept import MICRO
from helpers.small_run import SMALL, write_small_manifest
from helpers.torchrun import torchrun

pytestmark = pytest.mark.slow
DECODER = ["masked.decoder_width=32", "masked.decoder_layers=1", "masked.decoder_heads=2"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_small_manifest(tmp_path_factory.mktemp("clips"))


@pytest.fixture(autouse=True)
def micro_encoder(monkeypatch):
    monkeypatch.setitem(config.PRESETS, "tiny", MICRO)


def arguments(objective: str, manifest: Path, out: Path, *more: str) -> list[str]:
    decoder = DECODER if "mae" in objective else []
    options = ["device=cpu", "data.memory_gb=0", "optim.steps=3", "validate_every=3"]
    return ["--objective", objective, "--data", str(manifest), "--out", str(out), *SMALL, *decoder, *options, *more]


def trained(out: Path) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Return the log lines of updates, and the last weights."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    latest = read_checkpoint(out / "checkpoints" / "latest.pt")
    return [line for line in lines if line["split"] == "train"], latest["model"]


@pytest.mark.parametrize("objective", ["clr", "mae", "mae+clr"])
def test_checkpointed_blocks_leave_the_bits_as_they_are(manifest, tmp_path, objective):
    for name in ("false", "true"):
        assert main(arguments(objective, manifest, tmp_path / name, f"optim.checkpoint_blocks={name}")) == 0
    (plain, reference), (checkpointed, weights) = (trained(tmp_path / name) for name in ("false", "true"))
    assert [line["loss"] for line in plain] == [line["loss"] for line in checkpointed]
    assert all(torch.equal(weights[name], value) for name, value in reference.items())


@pytest.mark.parametrize("objective", ["clr", "mae+clr"])
def test_contrastive_learning_in_parts(manifest, tmp_path, objective):
    """The first update starts from the same weights: its losses differ by dropout and by batch statistics alone."""
    assert main(arguments(objective, manifest, tmp_path / "whole")) == 0
    more = ["optim.accumulate=2", "optim.checkpoint_blocks=true"]
    assert main(arguments(objective, manifest, tmp_path / "parts", *more)) == 0
    (whole, _), (parts, weights) = trained(tmp_path / "whole"), trained(tmp_path / "parts")
    assert parts[0]["clr"] == pytest.approx(whole[0]["clr"], rel=0.1)
    assert parts[0]["temperature"] != parts[2]["temperature"]
    numbers = [value for name, value in weights.items() if name.endswith("num_batches_tracked")]
    assert numbers and all(number == 3 for number in numbers)


def test_two_ranks_take_parts(manifest, tmp_path):
    script = str(REPOSITORY / "pretrain" / "run.py")
    more = ["preset=tiny", "optim.accumulate=2", "optim.checkpoint_blocks=true"]
    result = torchrun(2, script, *arguments("mae+clr", manifest, tmp_path / "two", *more), folder=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    lines, weights = trained(tmp_path / "two")
    assert len(lines) == 3 and all(0 < line["clr"] < 10 for line in lines)
    numbers = [value for name, value in weights.items() if name.endswith("num_batches_tracked")]
    assert numbers and all(number == 3 for number in numbers)
