"""Default names of experiments, which never meet an existing one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import overrides
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings

RESULTS = "result/downstream"


def fill_name(plan: Plan, world: Surroundings) -> None:
    """Fill in `-n`, and note the folder that S3PRL will write to. An existing experiment is never changed silently."""
    values = plan.values
    redirected = overrides.read(values.get("override")).get("args.expdir")
    if redirected is not None:
        values["expdir"] = str(overrides.value(redirected))
    if "expdir" in values or "expname" in values:
        plan.expdir = given_folder(values)
        return
    if "local_rank" in values:
        raise InputError("under torchrun -n or -p is needed, so that all processes write to one experiment")
    base = default_name(plan)
    existing = existing_numbers(base, world)
    values["expname"] = base if not existing else f"{base}-{max(existing) + 1}"
    plan.expdir = f"{RESULTS}/{values['expname']}"
    kept = f" ({numbered(base, max(existing))} is kept; -a resumes it, -n names one)" if existing else ""
    plan.notes.append(f"experiment: {plan.expdir}{kept}")


def given_folder(values: dict[str, Any]) -> str:
    """Return the folder of an experiment that was named by `-p` or `-n`."""
    return values.get("expdir") or f"{RESULTS}/{values['expname']}"


def newest_default_folder(plan: Plan, world: Surroundings) -> str:
    """Return the folder of the newest experiment with the default name of this command line."""
    base = default_name(plan)
    return f"{RESULTS}/{numbered(base, max(existing_numbers(base, world), default=1))}"


def default_name(plan: Plan) -> str:
    """Return task and encoder, as in `ks_fbank`; for mmpt_av also the checkpoint's name, as in `asr_mmpt_av_clr`."""
    values = plan.values
    parts = [plan.task.name if plan.task else values["downstream"], Path(values["upstream"]).name]
    if values.get("upstream_ckpt"):
        file = Path(values["upstream_ckpt"])
        parts.append(file.parent.name if file.name == "encoder.pt" else file.stem)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "_".join(parts))


def existing_numbers(base: str, world: Surroundings) -> list[int]:
    """Return the numbers of the existing experiments called `base` (1), `base`-2 and so on."""
    folder, pattern = world.folder / RESULTS, re.compile(re.escape(base) + r"(?:-(\d+))?")
    matches = (pattern.fullmatch(path.name) for path in (folder.iterdir() if folder.is_dir() else ()))
    return [int(match.group(1) or 1) for match in matches if match]


def numbered(base: str, number: int) -> str:
    """Return the name of the experiment of this number."""
    return base if number == 1 else f"{base}-{number}"
