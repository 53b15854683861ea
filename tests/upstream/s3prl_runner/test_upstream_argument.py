"""`-u UPSTREAM[:CKPT[:CONFIG]]` of run_downstream.py: what S3PRL gets of it, and a whole run with someone's expert."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner.encoder_names import EncoderName
from mmpt.upstream.s3prl_runner.experiment import score
from mmpt.upstream.s3prl_runner.experiment_names import default_name
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings
from mmpt.upstream.s3prl_runner.upstream_argument import encoder_of, fill_upstream

from helpers.expert_folders import expert_folder
from helpers.stock_mocks import superb

TWO_STEPS = ",,".join(f"config.runner.{key}=2" for key in ("total_steps", "eval_step", "save_step", "log_step"))


def filled(folder: Path, **values) -> Plan:
    plan = Plan({"downstream": "speech_commands", **values})
    fill_upstream(plan, Surroundings(folder, {}, lambda: folder, lambda: "cpu", lambda file: {}))
    return plan


@pytest.fixture
def place(tmp_path):
    for name in ("a.pt", "b.pt", "c.yaml"):
        (tmp_path / name).write_text("")
    expert_folder(tmp_path / "mine/good")
    return tmp_path


def test_checkpoint_and_configuration_come_from_it_unless_they_are_given(place):
    plan = filled(place, upstream="x_local:a.pt:c.yaml")
    assert encoder_of(plan.values) == EncoderName("x_local", str(place / "a.pt"), str(place / "c.yaml"))
    assert filled(place, upstream="x_local:a.pt", upstream_ckpt="b.pt").values["upstream_ckpt"] == str(place / "b.pt")
    assert filled(place, upstream="fbank").values == {"downstream": "speech_commands", "upstream": "fbank"}
    assert filled(place, upstream="mmpt_av:new.pt").values["upstream_ckpt"] == "new.pt"  # fill_encoder looks for it
    hub = {"upstream": "me/mine", "hub": "huggingface"}
    assert filled(place, **hub).values["upstream"] == "me/mine" and encoder_of(hub) is None


def test_a_folder_gets_its_path_its_weights_and_a_short_experiment_name(place):
    plan = filled(place, upstream="mine/good")
    folder = place / "mine/good"
    assert encoder_of(plan.values) == EncoderName(str(folder), str(folder / "model.pt"))
    assert default_name(plan) == "speech_commands_good_model"
    with pytest.raises(InputError, match="no such folder"):
        filled(place, upstream="mine/bad")


@pytest.mark.slow
def test_keyword_spotting_with_a_folders_expert(tmp_path):
    """Trained with a cache; its evaluation finds folder and checkpoint again, and each state in the cache."""
    superb(tmp_path / "noise")
    expert_folder(tmp_path / "mine/good")

    def run(*arguments):
        command = [sys.executable, REPOSITORY / "run_downstream.py", *arguments, "--cache", "states"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    settings = f"{TWO_STEPS},,config.downstream_expert.datarc.num_workers=0"
    notes = run("-u", "mine/good", "-d", "ks", "-n", "ks", "--data-root", "noise", "-o", settings)
    assert "Take a list of 2 features" in notes and "downsample rate is 320" in notes
    experiment = tmp_path / "result/downstream/ks"
    stored = read_checkpoint(experiment / "states-2.ckpt")
    assert stored["Args"].upstream == str(tmp_path / "mine/good") and "Upstream" not in stored
    notes = run("-m", "evaluate", "-e", experiment / "states-2.ckpt")
    assert "cache: 13 utterances read, 0 computed" in notes and score(experiment, "ks")["utterances"] == 12
