"""Errors of reconstructions, clip by clip, against those of a constant one: the mean of all targets."""

import torch
from torch import Tensor

from mmpt.pretrain.figures import Figure, HeldOutClip

ROWS_AT_ONCE = 8192  # of a reconstruction in float64: 100 MB of tubelets of 1536 numbers
ROWS, ERRORS, SQUARES, TARGETS = 0, 1, 2, slice(3, None)  # columns of `clip_sums`


def clip_sums(made: Tensor, target: Tensor, clip_of_row: Tensor, clips: int) -> Tensor:
    """Return sums over each clip's rows, on the CPU: (clips, 3 + C), float64.

    The columns are the number of rows, the squared errors and squared targets over all dimensions, and the targets in
    each dimension.

    Args:
        made: a reconstruction (R, C).
        target: likewise.
        clip_of_row: (R,).
        clips: in the batch.
    """
    sums = torch.zeros(clips, 3 + made.shape[1], dtype=torch.float64, device=made.device)
    for some, wanted, rows in zip(*(rows.split(ROWS_AT_ONCE) for rows in (made, target, clip_of_row))):
        wide = wanted.double()
        errors, squares = (some.double() - wide).square().sum(1), wide.square().sum(1)
        sums[:, :3].index_add_(0, rows, torch.stack([torch.ones_like(errors), errors, squares], 1))
        sums[:, TARGETS].index_add_(0, rows, wide)
    return sums.cpu()


def error_figures(name: str, sums: Tensor, clips: list[HeldOutClip]) -> dict[str, Figure]:
    """Return the mean squared error, and its ratio to the error of the constant reconstruction.

    Args:
        name: what is reconstructed.
        sums: of `clip_sums` (N, 3 + C).
        clips: (N,).
    """
    rows, errors, targets = sums[:, ROWS], sums[:, ERRORS], sums[:, TARGETS]
    mean = targets.sum(0) / rows.sum()
    of_mean = sums[:, SQUARES] - 2 * targets @ mean + rows * mean.square().sum()
    return {
        f"{name}_error": Figure(clips, errors.numpy(), (rows * targets.shape[1]).numpy()),
        f"{name}_error_over_mean": Figure(clips, errors.numpy(), of_mean.clamp(min=0).numpy()),
    }
