"""Build an encoder in this process as S3PRL's runner does."""

from __future__ import annotations

from torch import nn

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import expert_folders, registration, repairs
from mmpt.upstream.s3prl_runner.encoder_names import EncoderName
from mmpt.upstream.s3prl_runner.launcher import check_upstream_name
from mmpt.upstream.s3prl_runner.registration import UPSTREAM


def build(name: EncoderName) -> nn.Module:
    """Return the upstream, on the CPU and in evaluation.

    Raises:
        InputError: S3PRL has no upstream of this name, or it cannot be built.
        CheckpointError: a checkpoint of ours cannot be used.
    """
    if name.upstream == UPSTREAM and name.checkpoint is None:
        raise InputError(f"{UPSTREAM} needs a checkpoint: {UPSTREAM}:FILE")
    repairs.apply()
    registration.register()
    if name.folder:
        expert_folders.register(name.folder)
    check_upstream_name(name.upstream)
    import s3prl.hub

    entry = getattr(s3prl.hub, name.upstream)
    try:
        upstream: nn.Module = entry(ckpt=name.checkpoint, model_config=name.config, refresh=False)
    except (
        AssertionError,
        TypeError,
    ) as error:  # S3PRL's answers to a wrong checkpoint
        raise InputError(f"{name.upstream}: cannot be built so: {type(error).__name__}: {error}") from error
    return upstream.eval()
