"""Resume or evaluate an experiment: `-a`, and `-e`, with which S3PRL restores arguments from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import data, overrides
from mmpt.upstream.s3prl_runner.data_defaults import task_placeholders
from mmpt.upstream.s3prl_runner.encoder_defaults import corpus_name, fill_encoder, fill_task
from mmpt.upstream.s3prl_runner.experiment import best_checkpoint, newest_checkpoint
from mmpt.upstream.s3prl_runner.experiment_names import given_folder, newest_default_folder
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings
from mmpt.upstream.s3prl_runner.registration import UPSTREAM
from mmpt.upstream.s3prl_runner.tasks import StockTask, find_stock_task

# What S3PRL takes from the command line with -e (s3prl/run_downstream.py, get_downstream_args), and our own.
NOT_RESTORED = {"mode", "evaluate_split", "override", "backend", "local_rank", "past_exp", "device", "auto_resume"}
PHONE_WORKERS = 4  # loader processes of PR and SF after a resume


def fill_auto_resume(plan: Plan, world: Surroundings) -> None:
    """Turn `-a` into `-e` if the experiment has a checkpoint; without a name take the newest of its default name."""
    values = plan.values
    if not values.get("auto_resume") or "past_exp" in values:
        return
    if "expdir" in values or "expname" in values:
        folder = given_folder(values)
    else:
        fill_task(plan, world)
        if values.get("upstream") == UPSTREAM:
            fill_encoder(plan, world)
        folder = newest_default_folder(plan, world)
    if any((world.folder / folder).glob("*.ckpt")):
        values["past_exp"] = folder
        plan.notes.append(f"resuming {folder}")


def fill_from_checkpoint(plan: Plan, data_root: str | None, world: Surroundings) -> None:
    """Fill in a run with `-e`.

    S3PRL restores arguments and configuration from the checkpoint; what must differ goes through `-o`.
    """
    values = plan.values
    checkpoint = _find_checkpoint(plan, world)
    content = world.read_checkpoint(checkpoint)
    stored = plan.restored = vars(content["Args"])
    if values.get("auto_resume"):
        _check_same(values, stored, checkpoint)
    plan.task = find_stock_task(stored["downstream"], corpus_name(content["Config"]))
    for name in sorted(values.keys() - NOT_RESTORED):
        if not values.get("auto_resume"):
            plan.notes.append(
                f"--{name} has no effect with -e: S3PRL restores it from the checkpoint (-o args.{name}=... changes it)"
            )
    ours: dict[str, object] = {}
    plan.expdir = stored["expdir"]
    if (world.folder / plan.expdir).resolve() != checkpoint.parent.resolve():  # moved, or started from elsewhere
        plan.expdir = str(checkpoint.parent.absolute())
        ours["args.expdir"] = plan.expdir
    if plan.task is not None:
        if data_root is not None:
            found = {key: item for key, item in task_placeholders(plan.task).items() if data.corpora({key: item})}
            source = data.locate(data_root, plan.task.name, data.corpora(found), world.folder, world.samples)
            ours.update(data.fill(found, source))
        _keep_phone_workers(plan.task, content["Config"], ours)
    given = overrides.read(values.get("override"))
    if "args.expdir" in given:
        plan.expdir = str(overrides.value(given["args.expdir"]))
    encoder = Path(str(stored.get("upstream_ckpt")))
    is_file = stored.get("upstream") == UPSTREAM or encoder.is_absolute()  # of another upstream, perhaps a URL or an id
    if is_file and "args.upstream_ckpt" not in given and not encoder.exists():
        raise InputError(f"{encoder}: the encoder of {checkpoint} is gone; name it with -o args.upstream_ckpt=FILE")
    values["override"] = overrides.merge(ours, values.get("override"))


def _check_same(typed: dict[str, Any], stored: dict[str, Any], checkpoint: Path) -> None:
    """Refuse `-a` with the name of an experiment of another task or encoder."""
    known = find_stock_task(typed.get("downstream", ""))
    typed = {**typed, **({"downstream": known.downstream} if known else {})}
    for name in ("downstream", "upstream", "upstream_ckpt"):
        if name in typed and typed[name] != stored.get(name):
            raise InputError(f"-a: {checkpoint} is of --{name} {stored.get(name)}, not of {typed[name]}")


def _find_checkpoint(plan: Plan, world: Surroundings) -> Path:
    """Find the checkpoint that `-e` means, and put it in its place."""
    values, past = plan.values, world.folder / Path(plan.values["past_exp"]).expanduser()
    if past.is_dir() and values["mode"] == "train":
        checkpoint = newest_checkpoint(past, world.read_checkpoint)
    elif past.is_dir():
        checkpoint, is_best = best_checkpoint(past)
        plan.notes.append(f"checkpoint: {checkpoint}" + ("" if is_best else ", the LAST one: no best was written"))
    elif past.is_file():
        checkpoint = past
    else:
        raise InputError(f"-e {values['past_exp']}: no such checkpoint or experiment folder")
    values["past_exp"] = str(checkpoint)
    return checkpoint


def _keep_phone_workers(task: StockTask, config: dict[str, Any], ours: dict[str, object]) -> None:
    """Restore num_workers of PR and SF, which S3PRL drops from what it stores (ctc/data.py:76); it starts 12."""
    if task.downstream == "ctc" and "num_workers" not in config["downstream_expert"]["corpus"]:
        ours[f"config.{task.workers_key}"] = PHONE_WORKERS
