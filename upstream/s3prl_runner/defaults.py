"""Everything that `run_downstream.py` fills in before S3PRL's own `main()` reads the command line.

`fill` is a function from the given values to those that S3PRL will see; what it must know of the world comes in as
`Surroundings`. It imports neither torch nor S3PRL. The parts lie in `encoder_defaults`, `data_defaults`,
`experiment_names` and `resuming`.
"""

from __future__ import annotations

from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import overrides
from mmpt.upstream.s3prl_runner.data_defaults import fill_data, lexicon_settings
from mmpt.upstream.s3prl_runner.encoder_defaults import fill_cache, fill_encoder, fill_task
from mmpt.upstream.s3prl_runner.experiment_names import fill_name
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings
from mmpt.upstream.s3prl_runner.registration import UPSTREAM
from mmpt.upstream.s3prl_runner.resuming import fill_auto_resume, fill_from_checkpoint
from mmpt.upstream.s3prl_runner.steps import fill_steps
from mmpt.upstream.s3prl_runner.upstream_argument import fill_upstream

__all__ = ["Plan", "Surroundings", "fill"]


def fill(given: dict[str, Any], world: Surroundings) -> Plan:
    """Fill in what was not given; never replace a value that was given.

    Raises:
        InputError: something that was given, or that is needed, does not exist.
    """
    values = dict(given)
    data_root, lexicon = values.pop("data_root", None), values.pop("lexicon", None)
    cache = {name: values.pop(name, None) for name in ("cache", "cache_dtype", "cache_limit")}
    overrides.read(values.get("override"))  # reports a mistake in it before anything else
    plan = Plan(values)
    if lexicon:
        values["override"] = overrides.merge(lexicon_settings(lexicon, world), values.get("override"))
        plan.notes.append("--lexicon: a result with these pronunciations is not comparable with the leaderboard")
    values.setdefault("mode", "train")
    if not 0 <= values.get("seed", 0) < 2**32:
        raise InputError(f"--seed {values['seed']}: must be a whole number from 0 to {2**32 - 1}")
    if "LOCAL_RANK" in world.environment:  # torchrun sets it; S3PRL knows the flag alone
        values.setdefault("local_rank", int(world.environment["LOCAL_RANK"]))
    if "past_exp" not in values:  # -e restores the encoder
        fill_upstream(plan, world)
    fill_auto_resume(plan, world)
    if "past_exp" in values:
        fill_from_checkpoint(plan, data_root, world)
        values.pop("auto_resume", None)  # S3PRL would search again, and take the newest states-*.ckpt
    else:
        _fill_new(plan, data_root, world)
    if lexicon and not plan.is_pr:
        raise InputError("--lexicon is for phone recognition (-d pr) alone")
    fill_cache(plan, cache, world)
    if values["mode"] == "evaluate" and plan.task is not None:
        values.setdefault("evaluate_split", plan.task.test_split)
    if "device" not in values:  # last, because it takes seconds to find out
        values["device"] = world.device()
    if "local_rank" in values and values["device"] == "cpu":
        values.setdefault("backend", "gloo")
    return plan


def _fill_new(plan: Plan, data_root: str | None, world: Surroundings) -> None:
    """Fill in a new experiment: task, encoder, configuration, data and name."""
    values = plan.values
    fill_task(plan, world)
    if "upstream" not in values:
        raise InputError(f"-u is missing: {UPSTREAM}, or an upstream of S3PRL such as fbank")
    if plan.task is not None and not plan.task.trains:
        _check_untrained(plan)
    elif values["mode"] != "train" and plan.task is not None and "init_ckpt" not in values:
        raise InputError(
            f"-m {values['mode']} needs a trained head: -e EXPERIMENT (a folder or checkpoint), or -i CKPT"
        )
    if values["upstream"] == UPSTREAM:
        fill_encoder(plan, world)
    fill_data(plan, data_root, world)
    fill_steps(plan, world)
    fill_name(plan, world)


def _check_untrained(plan: Plan) -> None:
    """Refuse to train a task without a head, and to weigh the layers for it: those weights are not trained either."""
    values, name = plan.values, plan.values["downstream"]
    if values["mode"] != "evaluate":
        raise InputError(f"-d {name} has nothing to train: add -m evaluate")
    chosen = values.get("upstream_feature_selection", "hidden_states")
    if chosen == "hidden_states" and "upstream_layer_selection" not in values:
        raise InputError(f"-d {name} compares the states of one layer: add -l LAYER (0 is the first, -1 the last)")
