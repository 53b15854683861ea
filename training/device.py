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
        device = torch.empty(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={name} cannot be used: {str(error).splitlines()[0][:200]}") from None
    if device.type == "meta":
        raise InputError("device=meta cannot be used: its tensors have no values")
    if device.type == "cuda":
        torch.cuda.set_device(device)  # NCCL and pinned memory use the current device
    return device


def uses_bfloat16(settings: TrainSettings, device: torch.device) -> bool:
    """Return True if forward passes run in bfloat16: by choice, or with `auto` on a GPU that computes in it."""
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def set_precision(settings: TrainSettings, device: torch.device, prints: bool = False) -> None:
    """Have float32 mean float32 on a GPU, where PyTorch lets convolutions round to TF32.

    With `prints`, report if `auto` means float32 there.
    """
    if device.type != "cuda" or uses_bfloat16(settings, device):
        return
    torch.backends.cudnn.allow_tf32 = False
    if settings.precision == "auto" and prints:
        print(f"precision=auto: {torch.cuda.get_device_name(device)} has no bfloat16, so float32 it is")


def autocast(settings: TrainSettings, device: torch.device) -> torch.autocast:
    """Return the context of forward passes."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(settings, device))
