"""Which weights of attention dropout sets to zero, read off its outputs and off its gradients.

Equal scores make all weights of a row 1 / T. If the values are unit vectors, each output shows which weights of 64
places were kept. The same seed draws the same mask again: so the mask is read in windows of 64 places. In the same way
the gradient of the values shows the mask that the backward pass uses.
"""

from math import floor

import torch
from torch import Tensor

from mmpt.scripts.benchmark.gpu.check import Check
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.upstream.mmpt_av import attention
from mmpt.upstream.mmpt_av.packing import Packing

LENGTHS = (250, 183, 64, 13)
SHARE = 0.1


def dropped_weights(check: Check) -> Figures:
    """Return the share of weights that are dropped, and how many the forward and backward pass see differently."""
    heads, width = (4, 8) if check.small else (4, 64)
    packing = Packing([60, 33] if check.small else list(LENGTHS), check.device)
    places = packing.places()
    dtype = torch.bfloat16 if check.device.type == "cuda" else torch.float32
    masks = [read_mask(packing, heads, width, dtype, check.device, backward) for backward in (False, True)]
    weights = [mask.numel() for mask in masks[0]]
    kept = sum(mask.sum().item() for mask in masks[0])
    share = 1 - kept / sum(weights)
    some = torch.zeros(1, 3, heads, width, device=check.device, dtype=dtype)
    way = attention.choose_way(some, places)
    # Flash attention draws bytes, and keeps a weight whose byte is at most that share of 255.
    expected = 1 - (floor((1 - SHARE) * 255) + 1) / 256 if way is attention.packed else SHARE
    deviation = (expected * (1 - expected) / sum(weights)) ** 0.5
    first, second = masks[0][0][0], masks[0][0][1]  # two heads of the longest utterance
    return {
        "way": way.__name__,
        "weights": sum(weights),
        "asked_for_share": SHARE,
        "share_that_the_kernel_can_draw": expected,
        "dropped_share": share,
        "deviations_off": (share - expected) / deviation,
        "masks_of_the_backward_pass_differ_in": sum((a != b).sum().item() for a, b in zip(*masks)),
        "two_heads_drop_alike_percent": 100 * (first == second).float().mean().item(),
        "expected_alike_percent": 100 * (expected**2 + (1 - expected) ** 2),
    }


def read_mask(
    packing: Packing, heads: int, width: int, dtype: torch.dtype, device: torch.device, backward: bool
) -> list[Tensor]:
    """Return which weights are kept, (heads, T, T) of each utterance, of one fixed draw of dropout."""
    longest = packing.longest
    units = torch.eye(width, device=device, dtype=dtype)
    windows = []
    for start in range(0, longest, width):
        shown = torch.zeros(longest, width, device=device, dtype=dtype)
        shown[start : start + width] = units[: longest - start]
        rows = torch.cat([shown[:n] for n in packing.lengths])[:, None].expand(-1, heads, -1)  # (total, heads, width)
        qkv = torch.zeros(packing.total, 3, heads, width, device=device, dtype=dtype)
        if backward:
            qkv.requires_grad_()
        else:
            qkv[:, 2] = rows
        torch.manual_seed(18)
        output = attention.attend(qkv, packing.places(), SHARE)
        if backward:
            output.backward(rows.contiguous())
            assert qkv.grad is not None
            windows.append(qkv.grad[:, 2])  # [key, head, query - start]
        else:
            windows.append(output.detach())  # [query, head, key - start]
    read = torch.cat(windows, dim=-1)[..., :longest] > 0
    masks = [one.transpose(0, 1)[..., : len(one)] for one in packing.split(read)]
    return [mask.transpose(1, 2) for mask in masks] if backward else masks
