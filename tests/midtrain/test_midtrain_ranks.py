"""Stage 2 in several processes: loss, gradients, statistics and whole runs are those of one process."""

import json
from pathlib import Path

import pytest
import yaml

from mmpt.midtrain.run import main as midtrain
from mmpt.training.checkpoints import read_checkpoint
from mmpt.upstream.repository import REPOSITORY

from helpers import mock_must_c
from helpers.torchrun import torchrun

pytestmark = pytest.mark.slow

TESTS = REPOSITORY / "tests"
CONFIG = {
    "device": "cpu",
    "preset": "tiny",
    "log_every": 1,
    "validate_every": 2,
    "checkpoint_every": 2,
    "keep_checkpoints": 2,
    "freeze_encoder_steps": 2,
    "optim": {"steps": 4, "warmup_steps": 0, "lr": 1e-3, "weight_decay": 0.0},
    "data": {"workers": 0, "batch_frames": 400, "vocabulary_size": 40},
    "decoder": {"n_layers": 1, "n_heads": 2, "ffn_dim": 16, "dropout": 0.0},
    "ctc": {"weight": 0.3, "vocabulary_size": 20},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mock_must_c.corpus(folder / "must_c")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


def test_two_ranks_are_one_process(place):
    result = torchrun(2, str(TESTS / "helpers" / "two_ranks_translation.py"), str(place / "must_c"), folder=place)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout)
    assert {"loss loss", "loss nll", "loss ctc", "gradient of ctc.weight"} <= found.keys()
    assert any(name.startswith("buffer encoder.blocks.1.convolution.batch_norm.running_var") for name in found)
    assert [name for name, value in found.items() if not value <= 1e-6] == []  # the loss is in single precision


def logged(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one_with_two_parts(place):
    """They do while the encoder is frozen; later its batch statistics cover all ranks, but only one part."""
    options = ["--target-lang", "it", "--data", str(place / "must_c"), "--config", str(place / "config.yaml")]
    assert midtrain([*options, "--out", str(place / "one"), "optim.accumulate=2"]) == 0
    result = torchrun(2, str(REPOSITORY / "midtrain" / "run.py"), *options, "--out", "two", folder=place, real=True)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.count("Encoder (average)") == 1  # only the main process prints
    one, two = logged(place / "one"), logged(place / "two")
    for lines in (one, two):
        assert [line["split"] for line in lines] == ["train", "train", "dev", "train", "train", "dev"]
    for ours, reference in zip(two[:3], one[:3]):
        assert ours.keys() == reference.keys()
        for name in {"loss", "translation", "nll", "ctc", "gradient_norm", "bleu", "padding_percent"} & ours.keys():
            assert ours[name] == pytest.approx(reference[name], rel=1e-4), (name, reference["step"])
    states = [read_checkpoint(place / "two" / "checkpoints" / f"step_0000000{n}.pt") for n in (2, 4)]
    encoders = [
        {name: value for name, value in state["model"].items() if name.startswith("encoder.")} for state in states
    ]
    moved = {
        name for name, value in encoders[0].items() if value.is_floating_point() and not value.equal(encoders[1][name])
    }
    assert len(moved) > 50  # the encoder is trained once it is unfrozen
    assert len(states[1]["random"]) == 2
    assert midtrain(["--out", str(place / "two"), "--resume"]) == 2  # another number of processes
