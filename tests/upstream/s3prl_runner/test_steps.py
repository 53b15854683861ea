"""Numbers in a task's settings are checked, and short trainings are measured and saved."""

import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import overrides

from helpers.launcher_world import fill, make_world, settings


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


def test_a_short_training_is_measured_and_saved(world):
    plan = fill("-u fbank -d ks -o config.runner.total_steps=10", world)
    assert settings(plan)["config.runner.eval_step"] == settings(plan)["config.runner.save_step"] == 10
    assert "config.runner.eval_step and config.runner.save_step lowered to 10, the number of all steps" in plan.notes
    unmeasured = fill("-u fbank -d ks -o config.runner.total_steps=10,,config.runner.eval_step=1000", world)
    assert (
        settings(unmeasured)["config.runner.eval_step"] == 1000
        and settings(unmeasured)["config.runner.save_step"] == 10
    )
    longer = fill("-u fbank -d ks -o config.runner.total_steps=100000", world)
    assert not {"config.runner.eval_step", "config.runner.save_step"} & settings(longer).keys()
    assert "lowered" not in "\n".join(longer.notes)


@pytest.mark.parametrize(
    "option, message",
    [
        ("config.runner.total_steps=abc", "config.runner.total_steps=abc: must be a whole number of at least 1"),
        ("config.runner.eval_step=0", "config.runner.eval_step=0: must be a whole number of at least 1"),
        ("config.optimizer.lr=abc", "config.optimizer.lr=abc: must be a number above 0"),
        ("config.optimizer.lr=1e999", "config.optimizer.lr=inf: must be a number above 0"),
        ("config.runner.totl_steps=4", "config.runner.totl_steps: there is no 'totl_steps'; did you mean total_steps?"),
        ("confg.runner.total_steps=4", "confg.runner.total_steps: not config.KEY or args.KEY"),
        ("config.runner=4", "config.runner: these are several settings"),
        ("config.runner.total_steps.x=4", "config.runner.total_steps.x: 'x' lies under a single setting"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(world, option, message):
    with pytest.raises(InputError) as error:
        fill(f"-u fbank -d ks -o {option}", world)
    assert message in str(error.value)


def test_a_setting_that_the_file_lacks_may_be_given():
    config = {"runner": {"total_steps": 4}}
    overrides.apply(config, "config.runner.fp16=True,,config.new.section=1")
    assert config == {"runner": {"total_steps": 4, "fp16": True}, "new": {"section": 1}}


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_a_seed_that_no_generator_takes_is_refused(world, seed):
    with pytest.raises(InputError, match=f"--seed {seed}: must be a whole number from 0 to 4294967295"):
        fill(f"-u fbank -d ks --seed {seed}", world)
