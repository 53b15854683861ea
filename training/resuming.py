"""What a resumed run must have in common with its checkpoint, and the random states that it takes over."""

import torch

from mmpt.training.settings import TrainSettings, to_plain
from mmpt.upstream.errors import InputError

# Settings that may change at a resume. The data are compared by their checksum.
MAY_CHANGE = (
    "device",
    "log_every",
    "peak_tflops",
    "patience",
    "optim.checkpoint_blocks",
    "data.workers",
    "data.decode",
    "data.manifest",
    "data.root",
)


def check_resumable(state: dict, settings: TrainSettings, processes: int, data_checksum: int) -> None:
    """Raise InputError unless the run of a checkpoint had these settings, processes and training data."""
    now = fixed_settings(to_plain(settings))
    defaults = fixed_settings(to_plain(type(settings)()))  # those of settings that were added after the run started
    then = defaults | fixed_settings(state["settings"])
    if then != now:
        changed = sorted(k for k in then.keys() | now.keys() if then.get(k) != now.get(k))
        raise InputError(
            f"--resume: the run was started with other settings ({', '.join(changed)}); give the same ones, or --fresh"
        )
    if len(state["random"]) != processes:
        raise InputError(
            f"--resume: the run was started with {len(state['random'])} processes, not {processes}; start as many"
        )
    if state["data_mark"] != data_checksum:
        raise InputError(
            "--resume: the training data are not those that the run was started with; give the same ones, or --fresh"
        )


def fixed_settings(settings: dict) -> dict:
    """Return settings by dotted name, without those that may change at a resume."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        flat |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    return {name: value for name, value in flat.items() if name not in MAY_CHANGE}


def random_state(device: torch.device) -> dict:
    """Return the state of torch's generators; data are drawn by seed, epoch and item instead."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None}


def restore_random_state(state: dict, device: torch.device) -> None:
    """Put a state from `random_state` back."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
