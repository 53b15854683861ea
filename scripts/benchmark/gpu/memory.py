"""The measured peak of a step on clips of full length against the estimate that is made before a run."""

from contextlib import nullcontext

from mmpt.scripts.benchmark.gpu.check import Check, NotHere, PeakMemory, gigabytes, uncompiled
from mmpt.scripts.benchmark.gpu.loop import SMALL_SIZES, make_loop
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.training.device import uses_bfloat16

SIZES = {"clr": 64, "mae": 32, "mae+clr": 24}  # clips
FULL_S = (10.0, 10.0)


def measure(part: str, check: Check) -> Figures:
    """Return both in GB, and the estimate over the peak of an uncompiled step."""
    if part not in SIZES:
        raise NotHere("there is no estimate for stage 2")
    from mmpt.pretrain.memory import memory_of_clips

    size = (SMALL_SIZES if check.small else SIZES)[part]
    loop = make_loop(check, part, size, lengths_s=FULL_S)
    settings = loop.task.settings
    estimate = memory_of_clips(loop.task.model, settings, size, uses_bfloat16(settings, check.device))
    peaks = {}
    for name, context in {"uncompiled": uncompiled, "compiled": nullcontext}.items():
        with context():
            loop.round()
            with PeakMemory(check.device) as peak:
                loop.round()
        peaks[f"{name}_peak_gb"] = peak.gb
    total = estimate.total(checkpointing=False)
    measured = peaks["uncompiled_peak_gb"]
    return {
        "clips": size,
        "estimate_gb": gigabytes(total),
        **peaks,
        "estimate_over_peak": total / 1e9 / measured if measured else None,
    }
