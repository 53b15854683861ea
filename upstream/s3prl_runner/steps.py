"""Numbers in a task's settings: they are checked, and a short training is measured and saved all the same."""

from __future__ import annotations

import math
from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import overrides
from mmpt.upstream.s3prl_runner.data import read_yaml
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings

COUNTS = ("total_steps", "eval_step", "save_step", "log_step")


def fill_steps(plan: Plan, world: Surroundings) -> None:
    """Lower eval_step and save_step to total_steps.

    S3PRL measures dev and saves a checkpoint at their multiples alone: a shorter training would leave nothing. What was
    given stays: a very large eval_step turns measuring off.

    Raises:
        InputError: a setting is misspelt, or not such a number.
    """
    values = plan.values
    if values["mode"] != "train" or "config" not in values:
        return
    settings = read_yaml(world.path(values["config"]))
    overrides.apply(settings, values.get("override"))
    runner = _checked(settings)
    given, lowered = overrides.read(values.get("override")), {}
    total = runner.get("total_steps", math.inf)
    for key in ("eval_step", "save_step"):
        if runner.get(key, 0) > total and f"config.runner.{key}" not in given:
            lowered[f"config.runner.{key}"] = total
    if lowered:
        values["override"] = overrides.merge(lowered, values.get("override"))
        plan.notes.append(f"{' and '.join(lowered)} lowered to {total}, the number of all steps")


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the runner."""
    runner, optimizer = settings.get("runner"), settings.get("optimizer")
    runner = runner if isinstance(runner, dict) else {}
    for key in COUNTS:
        if key in runner and (type(runner[key]) is not int or runner[key] < 1):
            raise InputError(f"config.runner.{key}={runner[key]}: must be a whole number of at least 1")
    rate = optimizer.get("lr", 1.0) if isinstance(optimizer, dict) else 1.0
    if type(rate) not in (int, float) or not 0 < rate < math.inf:
        raise InputError(f"config.optimizer.lr={rate}: must be a number above 0")
    return runner
