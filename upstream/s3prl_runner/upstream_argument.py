"""Take apart what `-u` names: `UPSTREAM[:CKPT[:CONFIG]]` (see `encoder_names`)."""

from __future__ import annotations

from typing import Any

from mmpt.upstream.s3prl_runner.encoder_names import EncoderName, resolve, split
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings
from mmpt.upstream.s3prl_runner.registration import UPSTREAM


def fill_upstream(plan: Plan, world: Surroundings) -> None:
    """Set `-u`, `-k` and `-g` from `-u`; a `-k` or `-g` of its own counts more.

    Paths become absolute, since S3PRL stores them with its checkpoints. Of mmpt_av, `fill_encoder` checks them.

    Raises:
        InputError: it is not of the form, or a folder or file is missing.
    """
    values = plan.values
    if values.get("upstream") is None or values.get("hub") == "huggingface":
        return
    typed = split(values["upstream"])
    checkpoint = values.get("upstream_ckpt") or typed.checkpoint
    name = EncoderName(typed.upstream, checkpoint, values.get("upstream_model_config") or typed.config)
    if name.upstream != UPSTREAM:
        name = resolve(name, world.folder)
    found = {"upstream": name.upstream, "upstream_ckpt": name.checkpoint, "upstream_model_config": name.config}
    values.update({key: value for key, value in found.items() if value is not None})


def encoder_of(run: dict[str, Any]) -> EncoderName | None:
    """Return the encoder of a run's arguments, filled in or restored; None if Hugging Face's hub resolves its name."""
    if run.get("upstream") is None or run.get("hub") == "huggingface":
        return None
    return EncoderName(run["upstream"], run.get("upstream_ckpt"), run.get("upstream_model_config"))
