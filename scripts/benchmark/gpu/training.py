"""Training steps of each objective with packed attention and compiled blocks, without the latter, and without both."""

import statistics

from mmpt.scripts.benchmark.gpu.check import WAYS, Check, PeakMemory, graphs, limit
from mmpt.scripts.benchmark.gpu.loop import Loop, largest_loop
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.training.device import uses_bfloat16


def measure(part: str, check: Check) -> Figures:
    """Return rate, MFU and peak memory of an objective's steps, each in all ways."""
    before = graphs()
    loop, size = largest_loop(check, part)
    flops = loop.flops()
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    peaks = {way: PeakMemory(check.device) for way in WAYS}
    for context in WAYS.values():  # compiles, and lets cuDNN and the allocator settle
        with context():
            for _ in range(1 if check.small else 2):
                loop.round()
    for _ in check.rounds():
        for way, context in WAYS.items():
            with context(), peaks[way]:
                times[way].append(loop.round_s())
    ways = {way: rates(loop, flops, times[way], peaks[way].gb) for way in WAYS}
    return {
        "units": loop.task.unit,
        "units_a_step": loop.units / len(loop.batches),
        "asked_for": size,
        "rounds": len(times["after"]),
        "gflop_a_unit": flops / loop.units / 1e9,
        "graphs_compiled": graphs() - before,
        "before_over_after": statistics.median(b / a for a, b in zip(times["after"], times["before"])),
        **ways,
    }


def rates(loop: Loop, flops: int, times: list[float], peak_gb: float | None) -> Figures:
    """Return the figures of one way from the seconds of its rounds."""
    round_s = statistics.median(times)
    full_rate = limit(loop.device, uses_bfloat16(loop.task.settings, loop.device))
    return {
        "step_ms": 1e3 * round_s / len(loop.batches),
        "units_per_s": loop.units / round_s,
        "slowest_step_ms": 1e3 * max(times) / len(loop.batches),
        "mfu_percent": 100 * flops / round_s / full_rate,
        "peak_gb": peak_gb,
    }
