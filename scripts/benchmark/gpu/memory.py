"""The measured peak of a step on clips of full length against the estimate that is made before a run."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from mmpt.midtrain.memory import Sizes, memory_of_segments
from mmpt.pretrain.memory import memory_of_clips
from mmpt.scripts.benchmark.gpu.check import Check, PeakMemory, gigabytes, held_gigabytes, uncompiled
from mmpt.scripts.benchmark.gpu.loop import SMALL_SIZES, forget_loops, make_loop
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.training.device import uses_bfloat16
from mmpt.training.memory_estimate import Memory

SIZES = {"clr": 64, "mae": 32, "mae+clr": 24, "stage2": 20_000}  # clips, or frames
FULL_S = (10.0, 10.0)


def measure(part: str, check: Check) -> Figures:
    """Return both in GB, and the estimate over the peak of an uncompiled step."""
    forget_loops()
    held_gb = held_gigabytes(check.device)
    size = (SMALL_SIZES if check.small else SIZES)[part]
    loop = make_loop(check, part, size, lengths_s=FULL_S)
    total = max(estimate(loop.task, batch).total(checkpointing=False) for batch in loop.batches)
    peaks = {}
    contexts: dict[str, Callable[[], AbstractContextManager]] = {"uncompiled": uncompiled, "compiled": nullcontext}
    for name, context in contexts.items():
        with context():
            loop.round()
            with PeakMemory(check.device) as peak:
                loop.round()
        peaks[f"{name}_peak_gb"] = None if peak.gb is None else peak.gb - held_gb
    measured = peaks["uncompiled_peak_gb"]
    return {
        "units": loop.task.unit,
        "units_a_step": loop.units / len(loop.batches),
        "estimate_gb": gigabytes(total),
        **peaks,
        "estimate_over_peak": total / 1e9 / measured if measured else None,
    }


def estimate(task: Any, batch: Any) -> Memory:
    """Return the estimate for a step on a batch of either stage."""
    bfloat16 = uses_bfloat16(task.settings, task.device)
    if task.unit == "clips":
        return memory_of_clips(task.model, task.settings, len(batch.clips), bfloat16)
    sizes = [Sizes(one.samples, tokens) for one, tokens in zip(batch.segments, batch.texts.lengths)]
    return memory_of_segments(task.model, task.settings, sizes, bfloat16)
