"""What the benchmarks share: times of calls, ratios of pairs, and the machine's own limit."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from mmpt.training.meter import peak_tflops
from mmpt.upstream.progress import Progress


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the time of one call, until the device has finished it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def product_rate(device: torch.device, half: bool) -> float:
    """Return the FLOP/s of one large matrix product, the machine's own limit; of known GPUs the data sheet's."""
    if half and (known := peak_tflops(device)):
        return known * 1e12
    a: Tensor = torch.randn(2048, 2048, device=device, dtype=torch.bfloat16 if half else torch.float32)
    return max(2 * 2048**3 / seconds(lambda: a @ a, device) for _ in range(10))


def spread(values: list[float]) -> str:
    """Format the median, and least to most."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """Return each of the first times over its partner among the second."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def in_turn(calls: dict[str, Callable], rounds: int, device: torch.device, title: str) -> dict[str, list[float]]:
    """Return the seconds of each call: one after the other, `rounds` times, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in Progress(range(rounds + 1), desc=title, unit="round", leave=False):
        for name, call in calls.items():
            once = seconds(call, device)
            if number:
                times[name].append(once)
    return times
