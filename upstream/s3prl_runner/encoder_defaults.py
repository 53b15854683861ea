"""Defaults for the task, the encoder and its cache of states."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mmpt.upstream.default_encoder import default_encoder
from mmpt.upstream.errors import InputError
from mmpt.upstream.nearest import did_you_mean
from mmpt.upstream.s3prl_runner.data import read_yaml
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings
from mmpt.upstream.s3prl_runner.registration import UPSTREAM
from mmpt.upstream.s3prl_runner.tasks import OTHER_TASKS, TASKS, SuperbTask, find_stock_task

OUR_TASKS = ", ".join(task.name for task in TASKS)
OTHERS = ", ".join(task.name for task in OTHER_TASKS)


def fill_task(plan: Plan, world: Surroundings) -> None:
    """Find the task of `-d`, by our name or S3PRL's; raise InputError if S3PRL has no such task.

    `-d ctc` is several tasks of S3PRL; `corpus.name` in the file of `-c` tells which.
    """
    name = plan.values.get("downstream")
    if name is None:
        raise InputError(f"-d is missing: {OUR_TASKS}, {OTHERS}, or S3PRL's name of a task")
    known = find_stock_task(name)
    if known is not None:
        plan.values["downstream"] = known.downstream
        plan.task = find_stock_task(known.downstream, _corpus_in_settings(plan, world) or known.corpus)
    elif name not in (stock := _stock_tasks()):
        names = [*(task.name for task in (*TASKS, *OTHER_TASKS)), *stock]
        hint = did_you_mean(
            name, names, otherwise=f"known are {OUR_TASKS}, {OTHERS} and S3PRL's names ({', '.join(stock)})"
        )
        raise InputError(f"-d {name}: no such task; {hint}")


def _corpus_in_settings(plan: Plan, world: Surroundings) -> str | None:
    """Return `corpus.name` of the file that `-c` names; None without such a file or key."""
    if "config" not in plan.values:
        return None
    return corpus_name(read_yaml(world.path(plan.values["config"])))


def corpus_name(settings: dict[str, Any]) -> str | None:
    """Return `corpus.name` of a task's settings, None if they have none."""
    expert = settings.get("downstream_expert")
    corpus = expert.get("corpus") if isinstance(expert, dict) else None
    return corpus.get("name") if isinstance(corpus, dict) else None


def _stock_tasks() -> list[str]:
    """Return the tasks of the installed S3PRL, found without importing it."""
    spec = importlib.util.find_spec("s3prl")
    if spec is None:
        raise ModuleNotFoundError("s3prl is not installed", name="s3prl")
    folders = spec.submodule_search_locations or []
    return sorted(file.parent.name for folder in folders for file in Path(folder, "downstream").glob("*/expert.py"))


def fill_encoder(plan: Plan, world: Surroundings) -> None:
    """Find mmpt_av's checkpoint: `-k`, else the default. S3PRL stores the absolute path."""
    values, named = plan.values, plan.values.get("upstream_ckpt")
    if named is None:
        named, note = default_encoder(world.folder, world.environment, "-k")
        plan.notes.append(note)
    path = world.path(named)
    if not path.is_file():
        raise InputError(f"{named}: no such encoder checkpoint")
    values["upstream_ckpt"] = str(path)
    if "upstream_model_config" in values:
        options = world.path(values["upstream_model_config"])
        if not options.is_file():
            raise InputError(f"-g {values['upstream_model_config']}: no such file")
        values["upstream_model_config"] = str(options)


def fill_cache(plan: Plan, cache: dict[str, Any], world: Surroundings) -> None:
    """Turn `--cache` and its two companions into options of the upstream, if no cached state can ever be a wrong one.

    The same holds for `cache_dir` in the file of `-g`.
    """
    run = {**plan.values, **plan.restored}
    in_file = (
        run.get("upstream") == UPSTREAM
        and run.get("upstream_model_config")
        and "cache_dir" in read_yaml(Path(run["upstream_model_config"]))
    )
    for name in ("cache_dtype", "cache_limit"):
        if cache[name] is not None and not in_file and cache["cache"] is None:
            raise InputError(f"--{name.replace('_', '-')} is without --cache DIR")
    folder = cache["cache"] and str(world.path(cache["cache"]))
    plan.options = {"cache_dir": folder, "cache_dtype": cache["cache_dtype"], "cache_limit_gb": cache["cache_limit"]}
    if not folder and not in_file:
        return
    if run.get("hub") == "huggingface":
        raise InputError(
            "--cache cannot be used with --hub huggingface: download the repository, and name its folder (-u DIR)"
        )
    if run.get("upstream_trainable"):
        raise InputError("--cache keeps the states of a frozen encoder: leave out either it or -f")
    if not isinstance(plan.task, SuperbTask):
        raise InputError(
            f"--cache is for {OUR_TASKS}: another task may cut its sounds at random, and fill the cache with states "
            "that are never used again"
        )
