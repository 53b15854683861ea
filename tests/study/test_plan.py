"""Plans: which encoders follow from them, and what is refused."""

import pytest

from mmpt.midtrain.settings import MidtrainSettings
from mmpt.pretrain.settings import PretrainSettings
from mmpt.study.plan import SCALES, read_plan
from mmpt.training.settings import load_settings
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

SMALL = """\
samples: small
preset: tiny
pretrain: {config: pretrain/configs/samples.yaml, settings: [], steps: 2, minutes: 1}
midtrain: {config: midtrain/configs/samples.yaml, settings: [], steps: 2, minutes: 1}
objectives: [clr, mae+clr]
sets: [sounds]
languages: [it]
more_languages: [de]
seeds: [0]
heads: [{task: ks, rates: [1e-3], seeds: [1]}]
head_minutes: 1
cut: [nothing]
"""


def write(tmp_path, *changes):
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "plan.yaml").write_text(text)
    return str(tmp_path / "plan.yaml")


def test_encoders_follow_from_the_plan(tmp_path):
    encoders = {e.name: e for e in read_plan(write(tmp_path)).encoders()}
    assert list(encoders) == [
        *("fbank", "untrained", "clr", "mae_clr", "clr_sounds"),
        *("none_it", "clr_it", "mae_clr_it", "clr_de", "clr_longer"),
    ]
    assert encoders["clr_sounds"].data == "sounds" and encoders["clr"].data == "all"
    assert [encoders[name].start for name in ("none_it", "clr_it", "clr_longer")] == [None, "clr", "clr"]
    assert encoders["mae_clr_it"].objective == "mae+clr"


def test_encoders_of_single_sets_are_mid_trained_where_the_plan_says_so(tmp_path):
    plan = read_plan(write(tmp_path, ("seeds: [0]\n", "seeds: [0, 5]\nmidtrained_sets: [sounds]\n")))
    named = {e.name: e for e in plan.encoders()}
    found = named["clr_sounds_it_seed5"]
    assert (found.start, found.data, found.language, found.seed) == ("clr_sounds_seed5", "sounds", "it", 5)
    assert "clr_sounds_de_seed5" not in named and "mae_clr_sounds_it_seed5" not in named


@pytest.mark.parametrize("clips", [True, False])
@pytest.mark.parametrize("translations", [True, False])
def test_with_data_of_the_user_s_the_plan_leaves_out_sets_and_says_whose_settings_it_has(tmp_path, clips, translations):
    plan = read_plan(write(tmp_path, ("seeds: [0]\n", "seeds: [0]\nmidtrained_sets: [sounds]\n")))
    own = plan.for_own_data(clips, translations)
    assert not any(e.data == "sounds" for e in own.encoders())
    assert any("single sets" in sentence for sentence in own.cut)
    assert any("pretrain/configs/samples.yaml" in sentence for sentence in own.cut) == clips
    assert any("midtrain/configs/samples.yaml" in sentence for sentence in own.cut) == translations


def test_seeds_have_encoders_of_their_own(tmp_path):
    encoders = read_plan(write(tmp_path, ("seeds: [0]\nheads", "seeds: [0, 5]\nheads"))).encoders()
    named = {e.name: e for e in encoders}
    assert named["clr_it_seed5"].start == "clr_seed5" and named["clr_it_seed5"].seed == 5
    assert len(encoders) == 2 + 2 * 8
    names = list(named)
    assert all(names.index(e.start) < names.index(e.name) for e in encoders if e.start)


@pytest.mark.parametrize("scale", SCALES)
def test_the_scales_are_plans(scale):
    plan = read_plan(scale)
    assert plan.encoders()
    for stage, kind in ((plan.pretrain, PretrainSettings), (plan.midtrain, MidtrainSettings)):
        settings = load_settings(kind, REPOSITORY / stage.config, [f"preset={plan.preset}", *stage.settings])
        assert settings.preset == plan.preset


@pytest.mark.parametrize(
    "change, problem",
    [
        (("samples: small", "samples: some"), "samples must be small or full"),
        (("preset: tiny", "preset: giant"), "preset"),
        (("[clr, mae+clr]", "[clr, clr]"), "twice"),
        (("[clr, mae+clr]", "[clp]"), "objectives must be"),
        (("task: ks", "task: kss"), "heads.task must be"),
        (("cut:", "cuts:"), "unknown setting cuts"),
        (("cut: [nothing]\n", ""), "cut"),
        (("rates: [1e-3]", "rates: []"), "needs rates"),
        (("rates: [1e-3]", "rates: [fast]"), "learning rate fast, which is no positive number"),
        (("seeds: [1]}", "seeds: [1], steps: 0}"), "at least one step"),
        (("cut:", "midtrained_sets: [music]\ncut:"), "midtrained_sets: music is not among sets"),
    ],
)
def test_a_wrong_plan_is_one_clear_line(tmp_path, change, problem):
    with pytest.raises(InputError, match=problem.replace("+", r"\+")) as error:
        read_plan(write(tmp_path, change))
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read as a plan"):
        read_plan(str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match="evning: cannot be read .* the scales are quick, evening, gpu"):
        read_plan("evning")
