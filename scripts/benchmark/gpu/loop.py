"""The trainer's own steps, one after another over the same few batches, on any objective."""

import gc
from itertools import cycle
from typing import Any

import torch

from mmpt.scripts.benchmark.gpu.check import Check, uncompiled
from mmpt.scripts.benchmark.timing import seconds
from mmpt.training.distributed import World
from mmpt.training.run_folder import RunFolder
from mmpt.training.stop_signal import StopSignal
from mmpt.training.trainer import Trainer
from mmpt.training.updates import prepared_updates
from mmpt.upstream.operations import operation_counter
from mmpt.upstream.progress import Progress

# Clips (frames, for stage 2) of a step; halved until they fit.
SIZES = {"clr": 256, "mae": 96, "mae+clr": 64, "stage2": 160_000}
SMALL_SIZES = {"clr": 4, "mae": 3, "mae+clr": 3, "stage2": 600}
BATCHES = 2
CLIPS_S = (2.0, 10.0)  # the shortest and the longest clip


class Loop:
    """A trainer that is stepped by hand. A round is one step on each of the batches.

    Args:
        task: a stage's.
        batches: the same ones in each round.
    """

    def __init__(self, check: Check, task: Any, batches: list):
        self.task, self.batches, self.device = task, batches, check.device
        self.trainer = Trainer(task, task.settings, RunFolder(check.folder / "run"), World())
        self.trainer.bar = Progress(disable=True)
        stop = StopSignal()
        stop.received = 0
        self.updates = prepared_updates(task, cycle(batches), 1, World(), stop, self.trainer.prefetcher)
        self.update = next(self.updates)
        self.units = sum(task.counts(batch)[task.unit] for batch in batches)

    def round(self) -> None:
        """Do one step on each batch."""
        for _ in self.batches:
            self.step()

    def step(self) -> None:
        """Do one step."""
        update = self.trainer.train_step(self.update, self.updates)
        assert update is not None  # batches never end
        self.update = update

    def round_s(self) -> float:
        """Return the seconds of a round, until the device has finished it."""
        return seconds(self.round, self.device)

    def flops(self) -> int:
        """Count the floating-point operations of a round: twice its multiplications, forward and backward."""
        with uncompiled(), operation_counter() as counter:
            self.round()
        return counter.get_total_flops()


def make_loop(
    check: Check, objective: str, size: int, *overrides: str, lengths_s: tuple[float, float] = CLIPS_S
) -> Loop:
    """Return the loop of an objective on `size` clips, of lengths between the two, or on so many frames a step."""
    words = (
        f"compile={str(check.compiles).lower()}",
        "optim.accumulate=1",
        "optim.checkpoint_blocks=false",
        *overrides,
    )
    if objective == "stage2":
        from mmpt.scripts.benchmark.gpu.noise_speech import speech_batches, speech_task

        speech = speech_task(check.midtraining(f"data.batch_frames={size}", *words), check.folder)
        return Loop(check, speech, speech_batches(speech, BATCHES))
    from mmpt.scripts.benchmark.gpu.noise_clips import clip_batches, noise_task

    settings = check.pretraining(objective, f"data.batch_size={size}", *words)
    clips = noise_task(settings, check.folder, BATCHES * size, lengths_s, check.small)
    return Loop(check, clips, clip_batches(clips, size, BATCHES))


def largest_loop(check: Check, objective: str) -> tuple[Loop, int]:
    """Return the loop of an objective with as many clips or frames a step as fit, up to SIZES, and their number.

    The last one is kept for the next part on the same objective.
    """
    if objective not in _last:
        _last.clear()
        size = (SMALL_SIZES if check.small else SIZES)[objective]
        while not (loop := fitting_loop(check, objective, size)):
            gc.collect()
            torch.cuda.empty_cache()
            size //= 2
        _last[objective] = loop, size
    return _last[objective]


def forget_loops() -> None:
    """Free the memory of the loop that is kept."""
    _last.clear()
    gc.collect()


_last: dict[str, tuple[Loop, int]] = {}


def fitting_loop(check: Check, objective: str, size: int) -> Loop | None:
    """Return a loop that has done a round uncompiled, or None if the memory is too small for it."""
    try:
        loop = make_loop(check, objective, size)
        with uncompiled():
            loop.round()
        return loop
    except torch.OutOfMemoryError:
        return None
