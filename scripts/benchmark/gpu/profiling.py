"""Where the time of five training steps goes, by PyTorch's profiler: kernels, the front end, and waiting."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from mmpt.scripts.benchmark.gpu.check import Check
from mmpt.scripts.benchmark.gpu.loop import Loop, largest_loop
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.upstream.mmpt_av.filterbank import Filterbank

STEPS = 5
SHOWN = 12
FRONT_END = "front end"
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")


def measure(part: str, check: Check) -> Figures:
    """Return the share of an objective's steps in which the device is busy, and the kernels that take longest."""
    loop, _ = largest_loop(check, part)
    for _ in range(1 if check.small else 2):
        loop.round()
    on_gpu = check.device.type == "cuda"
    # First with kernels alone, which slows the processor least.
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as kernels:
        steps(loop, 1 if check.small else STEPS)
    with (
        front_end_named(),
        profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as all,
    ):
        steps(loop, 1 if check.small else 2)
    return busy(kernels, on_gpu, 1 if check.small else STEPS) | front_end(all, on_gpu)


def steps(loop: Loop, number: int) -> None:
    """Do so many steps, and wait for the device at the end."""
    for _ in range(number):
        loop.step()
    if loop.device.type == "cuda":
        torch.cuda.synchronize(loop.device)


@contextmanager
def front_end_named() -> Iterator[None]:
    """Give the front end a name in the trace."""
    packed = Filterbank.packed

    def named(*arguments: Any) -> Any:
        with record_function(FRONT_END):
            return packed(*arguments)

    with patch.object(Filterbank, "packed", named):
        yield


def busy(trace: profile, on_gpu: bool, number: int) -> Figures:
    """Return the device's busy share, its kernels by time, and the processor's waits for it, in so many steps."""
    taken: dict[str, float] = defaultdict(float)
    spans: list[tuple[float, float]] = []
    events = trace.events() or []
    for event in events:
        span = (event.time_range.start, event.time_range.end)
        if on_gpu and event.device_type == DeviceType.CUDA and not event.is_user_annotation:
            taken[event.name] += span[1] - span[0]
            spans.append(span)
        elif not on_gpu and event.cpu_parent is None:
            taken[event.name] += span[1] - span[0]
            spans.append(span)
    total = sum(taken.values()) or 1.0
    longest = sorted(taken.items(), key=lambda pair: -pair[1])[:SHOWN]
    whole = (max(end for _, end in spans) - min(start for start, _ in spans)) or 1.0
    covered = union(spans)
    return {
        "step_ms": whole / number / 1e3,
        "busy_percent": 100 * covered / whole,
        "waiting_percent": 100 * (1 - covered / whole),
        "kernels_a_step": len(spans) / number,
        "waits_of_the_processor_a_step": sum(event.name in WAITS for event in events) / number,
        "kernels": [{"share_percent": 100 * t / total, "ms_a_step": t / number / 1e3, "kernel": n} for n, t in longest],
    }


def union(spans: list[tuple[float, float]]) -> float:
    """Return how long at least one of the spans lasts."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def front_end(trace: profile, on_gpu: bool) -> Figures:
    """Return the front end's share of the time of all kernels."""
    averages = trace.key_averages()
    if on_gpu:  # kernels have rows of their own; the name's row on the processor sums up those that it started
        whole = sum(
            row.self_device_time_total
            for row in averages
            if row.device_type == DeviceType.CUDA and not row.is_user_annotation
        )
    else:
        whole = sum(row.self_cpu_time_total for row in averages)
    rows = [row for row in averages if row.key == FRONT_END and row.device_type == DeviceType.CPU]
    inside = sum(row.device_time_total if on_gpu else row.cpu_time_total for row in rows)
    return {"front_end_percent": 100 * inside / (whole or 1.0)}
