"""S3PRL's loop on the sample corpora, with kept states and without; only where S3PRL is installed."""

import argparse
from statistics import median

import torch

from mmpt.scripts.benchmark.gpu.check import Check, NotHere
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.scripts.benchmark.gpu.stand_ins import is_installed
from mmpt.scripts.benchmark.timing import ratios


def measure(part: str, check: Check) -> Figures:
    """Return the seconds a step of a task with states computed anew, kept, and with an encoder that takes no time."""
    if not is_installed("s3prl"):
        raise NotHere("s3prl is not installed")
    from mmpt.scripts.benchmark.state_runners import measured

    options = argparse.Namespace(
        tasks=part,
        preset=check.preset,
        data_root=None,
        batch="own",
        steps=2 if check.small else 100,
        rounds=1,
        workers=0 if check.small else 4,
        threads=torch.get_num_threads(),
        device=check.device.type,
        seed=0,
    )
    ((_, times),) = measured(options)
    steps = {f"{name}_step_ms": 1e3 * median(each) for name, each in times.items()}
    return {"computed_over_kept": median(ratios(times["computed"], times["kept"])), **steps, "steps": options.steps}
