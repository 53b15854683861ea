"""What the benchmarks share: times of calls, ratios of pairs, and the machine's own limit."""

import statistics
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from mmpt.training.meter import peak_tflops
from mmpt.upstream.mmpt_av.linear import linear
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
    """Return the FLOP/s of one large matrix product, the machine's own limit; of known GPUs the data sheet's.

    PyTorch's own product and the encoder's take turns; the faster one is the limit.
    """
    if half and (known := peak_tflops(device)):
        return known * 1e12
    a: Tensor = torch.randn(2048, 2048, device=device, dtype=torch.bfloat16 if half else torch.float32)
    return max(
        2 * 2048**3 / min(seconds(lambda: a @ a, device), seconds(lambda: linear(a, a), device)) for _ in range(10)
    )


def spread(values: list[float]) -> str:
    """Format the median, and least to most."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """Return each of the first times over its partner among the second."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def in_turn(calls: dict[str, Callable], rounds: int, device: torch.device, title: str) -> dict[str, list[float]]:
    """Return the seconds of each call: one after the other, `rounds` times, after one round that is not counted."""
    return alternate(calls, Progress(range(rounds), desc=title, unit="round", leave=False), device)


def alternate(
    calls: dict[str, Callable], rounds: Iterable[int], device: torch.device, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return the seconds of each call: one after the other in each round, after `warm_up` rounds of no account."""
    for _ in range(warm_up):
        for call in calls.values():
            seconds(call, device)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in rounds:
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    return times
