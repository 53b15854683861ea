"""One training process of contention.py: trains a stage on the samples, and prints seconds a unit under each load."""

import argparse
import json
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mmpt.scripts.benchmark.comma_list import numbers
from mmpt.upstream import threads
from mmpt.upstream.repository import REPOSITORY

COMMANDS = {
    1: ("pretrain/run.py", "--objective", "clr"),
    2: ("midtrain/run.py", "--target-lang", "it"),
}
NEVER = [f"{name}={10**6}" for name in ("optim.steps", "log_every", "validate_every", "checkpoint_every")]
WARM_UP = 5  # updates that are not timed: the libraries choose their ways in them
QUIET_S = 0.3  # for busy processes to start


class Enough(Exception):
    """All loads are measured."""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many other processes computing."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        time.sleep(QUIET_S if running else 0)
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def patch_trainer(loads: list[int], updates: int, as_before: bool, times: dict[int, float]) -> None:
    """Have the trainer time updates under each load in place of its run, fill `times`, and raise Enough."""
    from mmpt.training.stop_signal import StopSignal
    from mmpt.training.trainer import Trainer
    from mmpt.training.updates import prepared_updates
    from mmpt.upstream.progress import Progress

    if as_before:
        patch_model_and_data()

    def run(trainer: Trainer) -> None:
        if as_before:
            do_not_fuse(trainer.optimizer)
        with StopSignal() as stop:
            trainer.bar = Progress(disable=True)
            units = count_units(trainer)
            parts = trainer.settings.optim.accumulate
            upcoming = prepared_updates(trainer.task, endless(trainer), parts, trainer.world, stop, trainer.prefetcher)
            update: Any = next(upcoming)
            for _ in range(WARM_UP):
                update = trainer.train_step(update, upcoming)
            for load in loads:
                with busy(load):
                    before, started = units[0], time.perf_counter()
                    for _ in range(updates):
                        update = trainer.train_step(update, upcoming)
                    times[load] = (time.perf_counter() - started) / (units[0] - before)
        raise Enough

    patch.object(Trainer, "run", run).start()


def do_not_fuse(optimizer) -> None:
    """Have the optimiser do its steps in single operations, which cannot skip a step on the device."""
    for group in optimizer.param_groups:
        group["fused"] = None
    optimizer.register_step_pre_hook(lambda optimizer, *_: setattr(optimizer, "found_inf", None))


def patch_model_and_data() -> None:
    """Undo what was made faster in models and batches that are made from now on."""
    from torch import nn

    from mmpt.midtrain import decoder
    from mmpt.pretrain import clips, task, video_encoder
    from mmpt.upstream.mmpt_av import linear

    patch.object(linear, "has_convolutions_for", lambda x: False).start()
    patch.object(decoder, "Dropout", nn.Dropout).start()
    for module in (clips, video_encoder):
        patch.object(module, "mean_tubelets", mean_tubelets_before).start()
    patch.object(task, "read_ahead", iter).start()


def mean_tubelets_before(video, settings):
    """Return what tubelets.mean_tubelets does, by one sum over two dimensions."""
    import torch

    t, p = settings.tubelet, settings.patch
    side = settings.size // p
    cut = video.reshape(len(video), 3, settings.times, t, side, p, side, p)
    sums = cut.sum((4, 6), dtype=torch.float32)  # (B, 3, times, t, p, p)
    return sums.transpose(1, 2).reshape(len(video), settings.times, settings.pixels) / settings.places


def endless(trainer) -> Iterator:
    """Yield the batches of one epoch after the other."""
    epoch = 0
    while True:
        yield from trainer.task.batches(epoch, 0)
        epoch += 1


def count_units(trainer) -> list[int]:
    """Return a list of one number: the clips or frames that the trainer has met, kept up to date."""
    units, counts = [0], trainer.task.counts

    def counting(batch) -> dict[str, int]:
        found = counts(batch)
        units[0] += found[trainer.task.unit]
        return found

    trainer.task.counts = counting
    return units


def main() -> int:
    """Train; print a JSON object of seconds a unit by load."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("stage", type=int, choices=(1, 2))
    p.add_argument("updates", type=int)
    p.add_argument("loads", type=numbers, help="numbers of busy processes, such as 0,1,3")
    p.add_argument("out", type=Path)
    p.add_argument("--as-before", action="store_true", help="train as the commands once did, see contention.py")
    options = p.parse_args()
    if options.as_before:
        patch.object(threads, "SMALL_PARAMETERS", -1).start()
    choose = threads.prepare_for_model
    times: dict[int, float] = {}

    def choose_and_patch(*sizes: int) -> None:
        choose(*sizes)  # then torch may be loaded: the trainer imports it
        patch_trainer(options.loads, options.updates, options.as_before, times)

    patch.object(threads, "prepare_for_model", choose_and_patch).start()
    script, *arguments = COMMANDS[options.stage]
    sys.argv = [script, *arguments, "--out", str(options.out / "run"), *NEVER]
    try:
        runpy.run_path(str(REPOSITORY / script), run_name="__main__")
    except Enough:
        print(json.dumps(times))
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
