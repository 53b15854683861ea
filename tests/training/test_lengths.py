"""Lengths in epochs and a learning rate by batch size: as numbers, in config files and in overrides."""

from pathlib import Path

import pytest
import yaml

from mmpt.midtrain.run import CONFIGS as MIDTRAIN_CONFIGS
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.pretrain.run import CONFIGS, main
from mmpt.pretrain.settings import PretrainSettings
from mmpt.training.checkpoints import Checkpoints
from mmpt.training.lengths import resolve
from mmpt.training.settings import load_settings
from mmpt.upstream.errors import InputError

from helpers.small_run import SMALL, write_small_manifest

SAMPLES = CONFIGS / "samples.yaml"
RELATIVE = ["optim.epochs=1.5", "optim.warmup_epochs=0.5", "optim.base_lr=0.128"]


def test_numbers_take_the_place_of_epochs_and_of_the_base_rate(capsys):
    settings = load_settings(PretrainSettings, SAMPLES, RELATIVE)
    optim = resolve(settings, 1001, batch_size=64, prints=True).optim
    assert (optim.steps, optim.warmup_steps, optim.lr) == (1502, 500, 0.032)
    assert (optim.epochs, optim.warmup_epochs, optim.base_lr) == (None, None, None)
    assert "optim.epochs=1.5 is optim.steps=1502\n" in capsys.readouterr().out


def test_what_is_given_in_numbers_stays():
    settings = load_settings(PretrainSettings, SAMPLES, [])
    assert resolve(settings, 1001, batch_size=8) == settings


def test_the_learning_rate_of_the_configs_follows_the_batch_size():
    for name, batch_size, lr in (("paper", 256, 1.6e-3), ("small", 128, 8e-4), ("small", 64, 4e-4)):
        settings = load_settings(PretrainSettings, CONFIGS / f"{name}.yaml", [f"data.batch_size={batch_size}"])
        assert resolve(settings, 10, settings.data.batch_size).optim.lr == pytest.approx(lr, rel=1e-12)


def test_an_override_replaces_the_other_way_to_give_a_setting():
    optim = load_settings(PretrainSettings, CONFIGS / "paper.yaml", ["optim.lr=1e-4"]).optim
    assert (optim.lr, optim.base_lr) == (1e-4, None)
    optim = load_settings(PretrainSettings, SAMPLES, ["optim.epochs=2", "optim.steps=7"]).optim
    assert (optim.steps, optim.epochs) == (7, None)


@pytest.mark.parametrize("name, other", [("lr", "base_lr"), ("steps", "epochs"), ("warmup_steps", "warmup_epochs")])
def test_a_file_gives_one_of_them(tmp_path: Path, name, other):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"optim": {name: 1, other: 1}}))
    with pytest.raises(InputError, match=f"give optim.{name} or optim.{other}"):
        load_settings(PretrainSettings, file, [])
    file.write_text(yaml.safe_dump({"optim": {name: 1, other: None}}))
    load_settings(PretrainSettings, file, [])


@pytest.mark.parametrize("override", ["optim.epochs=0", "optim.warmup_epochs=-1", "optim.base_lr=.inf"])
def test_values_out_of_range_are_errors(override):
    with pytest.raises(InputError, match=override.split("=")[0]):
        load_settings(PretrainSettings, SAMPLES, [override])


def test_stage_2_has_no_base_rate():
    with pytest.raises(InputError, match="set optim.lr"):
        load_settings(MidtrainSettings, MIDTRAIN_CONFIGS / "samples.yaml", ["optim.base_lr=1e-3"])


@pytest.mark.slow
def test_a_run_stores_the_numbers_and_resumes_by_either(tmp_path, capsys):
    """Nine clips give two updates of four an epoch."""
    manifest, out = write_small_manifest(tmp_path / "clips"), tmp_path / "run"
    command = ["--objective", "clr", "--data", str(manifest), "--out", str(out), *SMALL, *RELATIVE]
    assert main(command) == 0
    optim = yaml.safe_load((out / "config.yaml").read_text())["optim"]
    assert (optim["steps"], optim["warmup_steps"], optim["lr"]) == (3, 1, 0.002)
    assert (optim["epochs"], optim["warmup_epochs"], optim["base_lr"]) == (None, None, None)
    state = Checkpoints(out).load_latest()
    assert state is not None and state["settings"]["optim"] == optim
    assert main([*command, "--resume"]) == 0 and main(["--out", str(out), "--resume"]) == 0
    assert capsys.readouterr().out.count("at step 3 of 3") == 2
