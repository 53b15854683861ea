"""The device that a run trains on, and the precision of its forward passes there."""

import torch

from mmpt.training.settings import TrainSettings
from mmpt.upstream.errors import InputError


def use_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device that `settings.device` names, and make it this process's current one.

    Args:
        name: "auto" (cuda if available, else cpu) or a device of torch. "cuda" is the GPU of this process.
        local_rank: number of this process on its machine.

    Raises:
        InputError: it is not a device, or not one of this machine's.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    name = f"cuda:{local_rank}" if name == "cuda" else name
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={name} cannot be used: {str(error).splitlines()[0]}") from None
    device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # NCCL and pinned memory use the current device
    return device


def uses_bfloat16(settings: TrainSettings, device: torch.device) -> bool:
    """Return True if forward passes run in bfloat16."""
    return device.type == "cuda" if settings.precision == "auto" else settings.precision == "bfloat16"


def autocast(settings: TrainSettings, device: torch.device) -> torch.autocast:
    """Return the context of forward passes."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(settings, device))
