"""Running statistics of batch norms that move once an update, into however many parts it is cut."""

import torch
from torch import Tensor, nn

from mmpt.upstream.mmpt_av.conformer import FrameBatchNorm


class RunningStatistics:
    """The running statistics of a model's batch norms during one update after another.

    Each part of an update moves them from where the update found them. The update leaves the mean over its parts. All
    other passes leave no trace: those before the first part, and those of checkpointed blocks in the backward pass.

    Call `begin` before an update, `put_back` before the forward pass of each part, `collect` after it and before the
    backward pass, and `end` after the last part.

    Args:
        model: whose batch norms are meant.
        enabled: False if they run once an update anyway. Then nothing is done.
    """

    def __init__(self, model: nn.Module, enabled: bool):
        self.norms = [module for module in model.modules() if isinstance(module, FrameBatchNorm) and enabled]
        self.values = [value for norm in self.norms for value in (norm.running_mean, norm.running_var)]
        self.numbers = [norm.num_batches_tracked for norm in self.norms]
        self.before: tuple[list[Tensor], list[Tensor]] = [], []
        self.sums: list[Tensor] = []
        self.numbers_after: list[Tensor] = []
        self.parts = 0

    def begin(self) -> None:
        """Keep the statistics that the update finds."""
        self.before = copies(self.values), copies(self.numbers)
        self.parts = 0

    def put_back(self) -> None:
        """Set the statistics to what the update found."""
        self.set(*self.before)

    def collect(self) -> None:
        """Take what a part's forward pass made of the statistics, and put them back."""
        if self.parts == 0:
            self.sums, self.numbers_after = copies(self.values), copies(self.numbers)
        elif self.values:
            torch._foreach_add_(self.sums, self.values)
        self.parts += 1
        self.put_back()

    def end(self) -> None:
        """Set the statistics to the mean over the parts."""
        if not any(norm.training for norm in self.norms):
            return  # those of a frozen encoder stay, to the bit
        torch._foreach_div_(self.sums, self.parts)
        self.set(self.sums, self.numbers_after)

    def set(self, values: list[Tensor], numbers: list[Tensor]) -> None:
        """Set means and variances, and the numbers of batches."""
        # Not a change in autograd's eyes: the backward pass of a batch norm does not read what it moved.
        if self.values:
            torch._foreach_copy_([value.data for value in self.values], values)
            torch._foreach_copy_([number.data for number in self.numbers], numbers)


def copies(tensors: list[Tensor]) -> list[Tensor]:
    """Return copies of tensors."""
    return [tensor.clone() for tensor in tensors]
