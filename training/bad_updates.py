"""Updates whose gradient is not finite: skipped on the device, and counted without waiting for it."""

import torch
from torch import Tensor

from mmpt.upstream.errors import InputError

MAX_IN_A_ROW = 20  # updates in a row without a finite gradient, after which the run gives up


class BadUpdates:
    """The number of such updates in a row. It is counted on the device, and read from there an update later.

    Args:
        device: of the gradients.
        in_a_row: the number so far.
    """

    def __init__(self, device: torch.device, in_a_row: int = 0):
        is_gpu = device.type == "cuda"
        self.count = torch.full((), float(in_a_row), device=device)
        self.copy = torch.full((), float(in_a_row), pin_memory=is_gpu)
        self.copied = torch.cuda.Event() if is_gpu else None

    def add(self, norm: Tensor) -> Tensor:
        """Count an update by its gradient's norm. Return 1.0 if it is bad, else 0.0, both on the device.

        Fused optimisers take this as `found_inf`: if it is 1, they change neither the weights nor their own state.
        """
        is_bad = norm.isfinite().logical_not().float()
        self.count = (self.count + is_bad) * is_bad
        self.copy.copy_(self.count, non_blocking=True)
        if self.copied is not None:
            self.copied.record()
        return is_bad

    def in_a_row(self) -> int:
        """Return the number after the last update that was added; wait until the device has computed it."""
        if self.copied is not None:
            self.copied.synchronize()
        return int(self.copy.numpy())

    def check(self, run: str) -> None:
        """Raise InputError if there are too many; `run` is the run's name in the message."""
        if self.in_a_row() >= MAX_IN_A_ROW:
            raise InputError(
                f"{run}: {self.in_a_row()} updates in a row had gradients that are not finite; lower optim.lr"
            )
