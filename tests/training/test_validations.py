"""Validations whose loss is not finite, in both stages: logged, said, and never the best."""

import json
import math

import pytest
import torch

from mmpt.midtrain import run as midtrain
from mmpt.midtrain.task import TranslationTask
from mmpt.pretrain.run import main as pretrain
from mmpt.pretrain.task import AudioVisualTask
from mmpt.training.best import Best
from mmpt.training.checkpoints import read_checkpoint
from mmpt.upstream.mmpt_av import config

from helpers import mock_must_c
from helpers.kept import MICRO
from helpers.small_run import SMALL, write_small_manifest

EVERY_UPDATE = ["validate_every=1", "checkpoint_every=1", "log_every=1"]


def test_only_finite_values_are_best():
    best = Best()
    assert [best.add(value) for value in (math.nan, math.inf)] == [False, False]
    assert best.disappointment("dev loss") == "2 validations without a finite dev loss"
    assert [best.add(value) for value in (3.0, math.nan, -math.inf, 4.0)] == [True, False, False, False]
    assert best.disappointment("dev loss") == "3 validations without a better dev loss than 3"


def break_at(monkeypatch, task, steps, value) -> None:
    """Give some weight of the encoder this value while a stage validates after these updates."""
    real = task.validate

    def validate(self, step):
        weight = self.encoder.blocks[0].ffn1[1].weight
        kept = weight.detach().clone()
        if step in steps:
            weight.data.fill_(value)
        figures = real(self, step)
        weight.data.copy_(kept)
        return figures

    monkeypatch.setattr(task, "validate", validate)


def dev_losses(run) -> list[float | None]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["split"] == "dev"]


@pytest.mark.slow
def test_in_stage_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(config.PRESETS, "tiny", MICRO)
    break_at(monkeypatch, AudioVisualTask, {1, 3}, torch.nan)
    manifest, out = write_small_manifest(tmp_path / "clips"), tmp_path / "run"
    small = [*SMALL, "masked.decoder_width=32", "masked.decoder_layers=1", "masked.decoder_heads=2", *EVERY_UPDATE]
    options = ["--objective", "mae+clr", "--data", str(manifest), "--out", str(out), *small]
    assert pretrain([*options, "optim.steps=3"]) == 0
    losses = dev_losses(out)
    assert losses[0] > 0 and losses[1] is None and losses[2] > 0 and losses[3] is None  # the first is of step 0
    assert read_checkpoint(out / "checkpoints" / "best.pt")["step"] == 2
    assert "step 3: the dev loss is not finite, so this step cannot become the best one\n" in capsys.readouterr().out


MIDTRAIN = ["preset=tiny", "decoder.n_layers=1", "decoder.n_heads=2", "decoder.ffn_dim=16", "data.workers=0"]
MIDTRAIN += ["data.batch_frames=500", "data.vocabulary_size=40", "ctc.weight=0.5", "ctc.vocabulary_size=20"]


@pytest.mark.slow
def test_in_stage_2_they_count_against_patience(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(config.PRESETS, "tiny", MICRO)
    break_at(monkeypatch, TranslationTask, range(10), math.inf)
    out, corpus = tmp_path / "run", mock_must_c.corpus(tmp_path / "must_c")
    options = ["--target-lang", "it", "--data", str(corpus), "--out", str(out), *MIDTRAIN, *EVERY_UPDATE]
    assert midtrain.main([*options, "patience=2"]) == 0
    assert "step 2: 2 validations without a finite dev loss: training ends (patience)" in capsys.readouterr().out
    assert dev_losses(out) == [None, None] and (out / "encoder.pt").is_file()
    assert midtrain.main(["--out", str(out), "--resume", "patience=3"]) == 0
    assert dev_losses(out) == [None, None, None] and not (out / "checkpoints" / "best.pt").exists()
