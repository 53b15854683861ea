"""Everything that `run_downstream.py` fills in before S3PRL's own `main()` reads the command line.

`fill` is a function from what was given to what S3PRL will see; what it needs to know of the world comes
in as `Surroundings`. It imports neither torch nor S3PRL.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.nearest import did_you_mean
from mmpt.upstream.s3prl_runner import data, overrides
from mmpt.upstream.s3prl_runner.experiment import best_checkpoint, newest_checkpoint
from mmpt.upstream.s3prl_runner.registration import UPSTREAM
from mmpt.upstream.s3prl_runner.tasks import TASKS, SuperbTask, find_task

RESULTS = "result/downstream"
SAMPLE_WORKERS = 0
"""Loader processes for the samples: starting any costs more than reading them."""


@dataclass(frozen=True)
class Surroundings:
    """What the defaults hang on, besides the command line."""

    folder: Path
    """The working directory."""
    environment: Mapping[str, str]
    samples: Callable[[], Path]
    """Gives the folder of the built samples, and builds them if need be."""
    device: Callable[[], str]
    read_checkpoint: Callable[[Path], dict]
    """Reads a checkpoint of S3PRL's (`Args`, `Config`, ...); InputError where it cannot."""


@dataclass
class Plan:
    """A command line for S3PRL's `main()`, and what is worth saying about it."""

    values: dict
    """Destination → value for the stock parser (`arguments.to_stock_argv`)."""
    task: SuperbTask | None = None
    """None for a task of S3PRL's that is not one of the five."""
    expdir: str = ""
    """Where S3PRL will write."""
    options: dict = field(default_factory=dict)
    """For mmpt_av's expert."""
    restored: dict = field(default_factory=dict)
    """Arguments that S3PRL takes from a checkpoint (`-e`) in place of the given ones."""
    notes: list[str] = field(default_factory=list)


def fill(given: dict, world: Surroundings) -> Plan:
    """Fill in what was not given; a value that was given is never replaced.

    Raises:
        InputError: something given, or something needed, does not exist.
    """
    values = dict(given)
    data_root, lexicon = values.pop("data_root", None), values.pop("lexicon", None)
    cache = {name: values.pop(name, None) for name in ("cache", "cache_dtype", "cache_limit")}
    overrides.read(values.get("override"))  # a mistake in it is reported before anything else
    plan = Plan(values)
    if lexicon:
        values["override"] = overrides.merge(lexicon_settings(lexicon, world.folder), values.get("override"))
        plan.notes.append("--lexicon: a result with these pronunciations is not comparable with the leaderboard")
    values.setdefault("mode", "train")
    if "LOCAL_RANK" in world.environment:  # set by torchrun; S3PRL knows the flag alone
        values.setdefault("local_rank", int(world.environment["LOCAL_RANK"]))
    _fill_auto_resume(plan, world)
    if "past_exp" in values:
        _fill_from_checkpoint(plan, data_root, world)
    else:
        _fill_new(plan, data_root, world)
    if "past_exp" in values:
        values.pop("auto_resume", None)  # S3PRL would look for a checkpoint again, and take the newest states-*.ckpt
    if lexicon and (plan.task is None or plan.task.name != "pr"):
        raise InputError("--lexicon is for phone recognition (-d pr) alone")
    _fill_cache(plan, cache, world)
    if values["mode"] == "evaluate" and plan.task is not None:
        values.setdefault("evaluate_split", plan.task.test_split)
    if "device" not in values:  # last, since asking takes seconds
        values["device"] = world.device()
    if "local_rank" in values and values["device"] == "cpu":
        values.setdefault("backend", "gloo")
    return plan


def _fill_new(plan: Plan, data_root: str | None, world: Surroundings) -> None:
    """A new experiment: task, encoder, configuration, data and name."""
    values = plan.values
    _fill_task(plan)
    if "upstream" not in values:
        raise InputError(f"-u is missing: {UPSTREAM}, or an upstream of S3PRL's such as fbank")
    if values["mode"] != "train" and plan.task is not None and "init_ckpt" not in values:
        raise InputError(
            f"-m {values['mode']} needs a trained head: -e EXPERIMENT (a folder or checkpoint), or -i CKPT"
        )
    if values["upstream"] == UPSTREAM:
        _fill_encoder(plan, world)
    _fill_data(plan, data_root, world)
    _fill_name(plan, world)


def _fill_task(plan: Plan) -> None:
    known = ", ".join(task.name for task in TASKS)
    name = plan.values.get("downstream")
    if name is None:
        raise InputError(f"-d is missing: {known}, or S3PRL's name of a task")
    plan.task = find_task(name)
    if plan.task is not None:
        plan.values["downstream"] = plan.task.downstream
    elif name not in (others := _stock_tasks()):
        names, everything = [task.name for task in TASKS], f"known are {known} and S3PRL's names ({', '.join(others)})"
        raise InputError(f"-d {name}: no such task; {did_you_mean(name, [*names, *others], otherwise=everything)}")


def _stock_tasks() -> list[str]:
    """The tasks of the installed S3PRL, found without importing it."""
    folders = importlib.util.find_spec("s3prl").submodule_search_locations
    return sorted(file.parent.name for folder in folders for file in Path(folder, "downstream").glob("*/expert.py"))


def _fill_encoder(plan: Plan, world: Surroundings) -> None:
    """`-k` for mmpt_av: given, else $MMPT_AV_CKPT, else the newest of runs/; stored absolute, as S3PRL keeps it."""
    values, named = plan.values, plan.values.get("upstream_ckpt")
    if named is None and world.environment.get("MMPT_AV_CKPT"):
        named = world.environment["MMPT_AV_CKPT"]
        plan.notes.append(f"encoder: {named} ($MMPT_AV_CKPT)")
    if named is None:
        found = sorted(
            (world.folder / "runs").glob("**/encoder.pt"), key=lambda file: (file.stat().st_mtime_ns, str(file))
        )
        if not found:
            raise InputError(
                "no encoder: give -k CKPT or set MMPT_AV_CKPT (there is no runs/**/encoder.pt here); "
                "an untrained one: python scripts/export.py --untrained tiny --seed 0 --out runs/untrained/encoder.pt"
            )
        named = str(found[-1])
        plan.notes.append(
            f"encoder: {os.path.relpath(named, world.folder)} (the newest of {len(found)} under runs/; -k chooses)"
        )
    path = (world.folder / Path(named).expanduser()).absolute()
    if not path.is_file():
        raise InputError(f"{named}: no such encoder checkpoint")
    values["upstream_ckpt"] = str(path)
    if "upstream_model_config" in values:
        options = (world.folder / Path(values["upstream_model_config"]).expanduser()).absolute()
        if not options.is_file():
            raise InputError(f"-g {values['upstream_model_config']}: no such file")
        values["upstream_model_config"] = str(options)


def lexicon_settings(files: list[str], folder: Path) -> dict[str, object]:
    """What `--lexicon` changes in PR's configuration; InputError for a file that is not there."""
    paths = [str((folder / Path(file).expanduser()).absolute()) for file in files]
    for file, path in zip(files, paths):
        if not Path(path).is_file():
            raise InputError(f"--lexicon {file}: no such file")
    return {"config.downstream_expert.corpus.lexicon": paths, "config.downstream_expert.corpus.unknown_words": "SPN"}


def _fill_cache(plan: Plan, cache: dict, world: Surroundings) -> None:
    """`--cache` and its two friends, or the same in the file of `-g`: only where no state can ever be a wrong one."""
    run = {**plan.values, **plan.restored}
    in_file = (
        run.get("upstream") == UPSTREAM
        and run.get("upstream_model_config")
        and "cache_dir" in data.read_yaml(Path(run["upstream_model_config"]))
    )
    for name in ("cache_dtype", "cache_limit"):
        if cache[name] is not None and not in_file and cache["cache"] is None:
            raise InputError(f"--{name.replace('_', '-')} is without --cache DIR")
    folder = cache["cache"] and str((world.folder / Path(cache["cache"]).expanduser()).absolute())
    plan.options = {"cache_dir": folder, "cache_dtype": cache["cache_dtype"], "cache_limit_gb": cache["cache_limit"]}
    if not folder and not in_file:
        return
    if run.get("upstream") != UPSTREAM:
        raise InputError(
            f"--cache is for mmpt_av: the states of '{run.get('upstream')}' may hang on the batch they are computed in"
        )
    if run.get("upstream_trainable"):
        raise InputError("--cache keeps the states of a frozen encoder: leave out either it or -f")
    if plan.task is None:
        known = ", ".join(task.name for task in TASKS)
        raise InputError(
            f"--cache is for {known}: another task may cut its sounds at random, and would fill it with what never comes again"
        )


def _fill_data(plan: Plan, data_root: str | None, world: Surroundings) -> None:
    """`-c`, and the data paths in it, under the user's own `-o`."""
    values, task = plan.values, plan.task
    if "config" in values:
        own = (world.folder / Path(values["config"]).expanduser()).absolute()
        found = data.placeholders(data.read_yaml(own))
        if data_root is not None and task is not None:
            found = {**_task_placeholders(task), **found}
    elif task is not None:
        found = _task_placeholders(task)
    else:
        raise InputError(f"-d {values['downstream']}: there is no configuration of ours for it; give one with -c")
    found = {key: item for key, item in found.items() if key not in overrides.read(values.get("override"))}
    source = None
    wanted = data.corpora(found)
    if wanted:
        source = data.locate(
            data_root, task.name if task else values["downstream"], wanted, world.folder, world.samples
        )
        plan.notes.append(f"data: {source.root or source.said}" + (f" ({source.said})" if source.root else ""))
    ours = data.fill(found, source)
    on_samples = source is not None and source.holds_samples()
    if task is not None and on_samples:
        ours[f"config.{task.workers_key}"] = SAMPLE_WORKERS
    if "config" not in values:
        values["config"] = str(data.configs_folder() / ("quick" if on_samples else "") / f"{task.name}.yaml")
        ours["config.runner.max_keep"] = (
            2  # S3PRL deletes the old checkpoint before it writes the new one: one of the two is whole
        )
        if on_samples:
            plan.notes.append(
                f"settings: downstream_configs/quick/{task.name}.yaml, made for the samples: not the board's protocol"
            )
    values["override"] = overrides.merge(ours, values.get("override"))


def _task_placeholders(task: SuperbTask) -> dict[str, object]:
    return data.placeholders(data.read_yaml(data.configs_folder() / f"{task.name}.yaml"))


def _fill_name(plan: Plan, world: Surroundings) -> None:
    """`-n`, and where S3PRL will therefore write; an existing experiment is never added to without a word."""
    values = plan.values
    redirected = overrides.read(values.get("override")).get("args.expdir")
    if redirected is not None:
        values["expdir"] = str(overrides.value(redirected))
    if "expdir" in values or "expname" in values:
        plan.expdir = values.get("expdir") or f"{RESULTS}/{values['expname']}"
        if values["mode"] == "train" and any((world.folder / plan.expdir).glob("*.ckpt")):
            plan.notes.append(
                f"{plan.expdir} holds an experiment already: this one overwrites it (-a would go on with it)"
            )
        return
    if "local_rank" in values:
        raise InputError("under torchrun -n or -p is needed, so that all processes write to one experiment")
    base = _default_name(values)
    existing = _experiments(base, world)
    values["expname"] = base if not existing else f"{base}-{max(existing) + 1}"
    plan.expdir = f"{RESULTS}/{values['expname']}"
    kept = f" ({_numbered(base, max(existing))} is kept; -a goes on with it, -n names one)" if existing else ""
    plan.notes.append(f"experiment: {plan.expdir}{kept}")


def _fill_auto_resume(plan: Plan, world: Surroundings) -> None:
    """`-a`: an experiment that has a checkpoint is gone on with, as `-e` would; with no name, the newest."""
    values = plan.values
    if not values.get("auto_resume") or "past_exp" in values:
        return
    if "expdir" in values or "expname" in values:
        folder = values.get("expdir") or f"{RESULTS}/{values['expname']}"
    else:
        _fill_task(plan)
        if values.get("upstream") == UPSTREAM:
            _fill_encoder(plan, world)
        base = _default_name(values)
        folder = f"{RESULTS}/{_numbered(base, max(_experiments(base, world), default=1))}"
    if any((world.folder / folder).glob("states-*.ckpt")):
        values["past_exp"] = folder
        plan.notes.append(f"going on with {folder}")


def _fill_from_checkpoint(plan: Plan, data_root: str | None, world: Surroundings) -> None:
    """`-e`: S3PRL restores arguments and configuration from the checkpoint; the rest goes through `-o`."""
    values, past = plan.values, world.folder / Path(plan.values["past_exp"]).expanduser()
    if past.is_dir() and values["mode"] == "train":
        checkpoint = newest_checkpoint(past, world.read_checkpoint)
        values["past_exp"] = str(checkpoint)
    elif past.is_dir():
        checkpoint, is_best = best_checkpoint(past)
        values["past_exp"] = str(checkpoint)
        plan.notes.append(f"checkpoint: {checkpoint}" + ("" if is_best else ", the LAST one: no best was written"))
    elif past.is_file():
        checkpoint = past
        values["past_exp"] = str(past)
    else:
        raise InputError(f"-e {values['past_exp']}: no such checkpoint or experiment folder")
    content = world.read_checkpoint(checkpoint)
    stored = plan.restored = vars(content["Args"])
    config = content["Config"]
    plan.task = find_task(stored["downstream"])
    for name in sorted({"downstream", "upstream", "expname", "expdir", "config", "upstream_ckpt"} & values.keys()):
        if not values.get("auto_resume"):
            plan.notes.append(
                f"--{name} has no effect with -e: S3PRL restores it from the checkpoint (-o args.{name}=... changes it)"
            )
    ours = {}
    plan.expdir = stored["expdir"]
    if (world.folder / plan.expdir).resolve() != checkpoint.parent.resolve():
        plan.expdir = ours["args.expdir"] = str(
            checkpoint.parent.absolute()
        )  # the folder was moved, or we are elsewhere
    if plan.task is not None:
        if data_root is not None:
            found = {key: item for key, item in _task_placeholders(plan.task).items() if data.corpora({key: item})}
            source = data.locate(data_root, plan.task.name, data.corpora(found), world.folder, world.samples)
            ours.update(data.fill(found, source))
        _keep_phone_workers(plan.task, config, ours)
    given = overrides.read(values.get("override"))
    if "args.expdir" in given:
        plan.expdir = str(overrides.value(given["args.expdir"]))
    encoder = stored.get("upstream_ckpt")
    if stored.get("upstream") == UPSTREAM and "args.upstream_ckpt" not in given and not Path(str(encoder)).is_file():
        raise InputError(f"{encoder}: the encoder of {checkpoint} is gone; name it with -o args.upstream_ckpt=FILE")
    values["override"] = overrides.merge(ours, values.get("override"))


def _keep_phone_workers(task: SuperbTask, config: dict, ours: dict) -> None:
    """S3PRL alone drops PR's num_workers before it stores the configuration (ctc/data.py:76), and then starts 12."""
    if task.name == "pr" and "num_workers" not in config["downstream_expert"]["corpus"]:
        ours[f"config.{task.workers_key}"] = 4


def _default_name(values: dict) -> str:
    """Task and encoder: `ks_fbank`; for mmpt_av also what the checkpoint is called, `asr_mmpt_av_clr`."""
    task = find_task(values["downstream"])
    parts = [task.name if task else values["downstream"], values["upstream"]]
    if values.get("upstream_ckpt"):
        file = Path(values["upstream_ckpt"])
        parts.append(file.parent.name if file.name == "encoder.pt" else file.stem)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "_".join(parts))


def _experiments(base: str, world: Surroundings) -> list[int]:
    """Numbers of the experiments called `base` (1), `base`-2 and so on that are there."""
    folder, pattern = world.folder / RESULTS, re.compile(re.escape(base) + r"(?:-(\d+))?")
    matches = (pattern.fullmatch(path.name) for path in (folder.iterdir() if folder.is_dir() else ()))
    return [int(match.group(1) or 1) for match in matches if match]


def _numbered(base: str, number: int) -> str:
    return base if number == 1 else f"{base}-{number}"
