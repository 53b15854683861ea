"""What the card itself reaches: a large matrix product, and a large copy in its memory."""

import statistics
from collections.abc import Callable
from functools import partial

import torch

from mmpt.scripts.benchmark.gpu.check import Check
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.scripts.benchmark.timing import seconds
from mmpt.training.meter import peak_tflops


def measure(part: str, check: Check) -> Figures:
    """Return rates of products in TFLOP/s and of a copy in TB/s, bytes read and written."""
    side, rounds = (256, 2) if check.small else (8192, 8)
    rates = {}
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        a, b = (torch.randn(side, side, device=check.device, dtype=dtype) for _ in range(2))
        rates[f"{name}_tflops"] = 2 * side**3 / median_s(partial(torch.matmul, a, b), check, rounds) / 1e12
    source = torch.randn(side * side * 8, device=check.device)
    target = torch.empty_like(source)
    copied_s = median_s(partial(target.copy_, source), check, rounds)
    return {
        **rates,
        "data_sheet_bfloat16_tflops": peak_tflops(check.device),
        "copy_tb_per_s": 2 * source.numel() * source.element_size() / copied_s / 1e12,
        "products_of_float32_in": torch.get_float32_matmul_precision(),
        "convolutions_of_float32_in_tf32": torch.backends.cudnn.allow_tf32,
    }


def median_s(work: Callable[[], object], check: Check, rounds: int) -> float:
    """Return the median seconds of a call, after one that is not counted."""
    work()
    return statistics.median(seconds(work, check.device) for _ in range(rounds))
