"""The training loop of both stages: from the first step or from where a run was interrupted, in one process or in many."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mmpt.training.checkpoints import Checkpoints, export_encoder
from mmpt.training.device import autocast, uses_bfloat16
from mmpt.training.distributed import Counts, World
from mmpt.training.meter import FlopCount, Meter, peak_tflops
from mmpt.training.optimizer import learning_rate, make_optimizer
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import TrainSettings, to_plain
from mmpt.training.stop_signal import StopSignal
from mmpt.training.unreadable import Unreadable
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder

PATIENCE_FOR_NAN = 20  # updates in a row without a finite gradient before the run gives up
MAY_CHANGE = (
    "device",
    "log_every",
    "peak_tflops",
    "patience",
    "data.workers",
    "data.manifest",
    "data.root",
)  # at a resume; the data are compared themselves


class Task(Protocol):
    """What a stage gives the loop."""

    model: nn.Module  # holds the encoder as `model.encoder`
    encoder: Encoder
    unit: str  # what a batch is counted in: "clips", "frames"
    best_metric: str  # of `validate`; the checkpoint where it is lowest becomes `best`
    data_mark: int  # hangs on the training data and their order
    unreadable: Unreadable  # which the task tells what it could not read

    def batches(self, epoch: int, skip: int) -> Iterator:
        """This rank's micro-batches of an epoch without its first `skip` updates, the same ones each time it is asked."""

    def counts(self, batch) -> dict[str, int]:
        """Units in a batch, by name: `unit`, and what the losses are divided by."""

    def freeze(self, step: int) -> bool:
        """Sets which weights the update after `step` others may change, with the model in training mode. Returns whether they
        are not those of the update before.
        """

    def loss(self, model: nn.Module, batch, counts: Counts) -> dict[str, Tensor]:
        """Losses by name; `loss` is the one to minimise. Each is this batch's part of the mean over the whole update, of all
        micro-batches and ranks. `model` is the task's own, or what DDP made of it.
        """

    def gauges(self) -> dict[str, float]:
        """Other figures for the log, as they stand."""

    def compile(self) -> None:
        """Has torch compile what is worth it."""

    def validate(self, step: int) -> dict[str, float]:
        """Figures on held-out data, by name, the same on all ranks; the model is in evaluation mode, without gradients."""

    def provenance(self, step: int) -> dict:
        """Where the encoder's weights come from after `step` updates (see mmpt_av.checkpoint)."""


def train(task: Task, settings: TrainSettings, folder: RunFolder, resume: bool, world: World) -> None:
    """Trains until `optim.steps`, or until `patience` validations have found nothing better; validates, saves, and leaves
    `encoder.pt` in the folder.

    SIGTERM and Ctrl-C save and end the process after the current step.

    Raises:
        InputError: the run to resume had other settings or another number of processes, or gradients are not finite any more.
    """
    training = Training(task, settings, folder, world)
    if resume:
        training.restore()
    folder.open_board(training.step)
    training.run()
    if world.is_main:
        export_encoder(training.checkpoints.select(settings.export, settings.keep_checkpoints), folder.encoder_file)
        folder.board.close()
        print(f"Encoder ({settings.export}): {folder.encoder_file}")
    world.wait()


class Training:
    """A run on its way: where it stands, and one method for each thing that happens to it."""

    def __init__(self, task: Task, settings: TrainSettings, folder: RunFolder, world: World):
        self.task, self.settings, self.folder, self.world = task, settings, folder, world
        self.checkpoints = Checkpoints(folder.path)
        self.device = next(task.model.parameters()).device
        self.optimizer = make_optimizer(task.model, settings.optim)
        if settings.compile:
            task.compile()
        self.peak = settings.peak_tflops or (peak_tflops(self.device) if uses_bfloat16(settings, self.device) else None)
        self.wrap()
        self.step, self.epoch, self.position = 0, 0, 0  # position: updates of this epoch that are done
        self.best: float | None = None
        self.disappointments = 0  # validations since the best one
        self.saved_step = -1
        self.bad_steps = 0
        torch.manual_seed(
            settings.seed + 1_000_003 * world.rank
        )  # weights are drawn alike on all ranks, dropout is not
        self.meter = Meter()

    def wrap(self) -> None:
        """Prepares the model for the weights that are now to be trained."""
        self.model = None
        gc.collect()  # an old DDP would go on waiting for gradients of the weights that it was given
        self.model = self.world.wrap(self.task.model)
        self.flops = FlopCount(wanted=bool(self.peak))

    @property
    def ended(self) -> bool:
        """Whether no further update is wanted."""
        return self.step >= self.settings.optim.steps or 0 < self.settings.patience <= self.disappointments

    def run(self) -> None:
        """From where the run stands to its last step."""
        steps = self.settings.optim.steps
        self.bar = tqdm(
            total=steps,
            initial=self.step,
            unit="step",
            desc="train",
            dynamic_ncols=True,
            disable=not self.world.is_main,
        )
        with StopSignal() as stop, self.bar:
            while not self.ended:
                self.run_epoch(stop)
                self.epoch, self.position = self.epoch + 1, 0

    def run_epoch(self, stop: StopSignal) -> None:
        """What is left of an epoch, or of the run."""
        optim = self.settings.optim
        batches = iter(self.task.batches(self.epoch, self.position))
        while not self.ended:
            started = time.perf_counter()
            parts = list(islice(batches, optim.accumulate))
            waited = time.perf_counter() - started
            if len(parts) < optim.accumulate:
                break
            counted = [self.task.counts(part) for part in parts]
            messages = self.world.gather((add_up(counted), self.task.unreadable.take(), stop.received))
            self.task.unreadable.note([entry for _, entries, _ in messages for entry in entries])
            if received := max(signal_number for *_, signal_number in messages):
                self.end_early(received)
            losses, norm, finite = self.update(parts, counted, Counts([counts for counts, *_ in messages]))
            units = sum(counts[self.task.unit] for counts in counted)
            self.meter.add(losses, norm, units, waited, time.perf_counter() - started, finite)
            self.after_update()
        if self.position == 0:
            raise InputError("an epoch gave no batch: there is too little training data for one")

    def update(
        self, parts: list, counted: list[dict[str, int]], counts: Counts
    ) -> tuple[dict[str, Tensor], Tensor, bool]:
        """One step of the optimiser on all micro-batches; returns the losses, the gradient's norm and whether it was finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.settings.optim)
        self.task.model.train()
        if self.task.freeze(self.step):
            self.wrap()
        total: dict[str, Tensor] = {}
        for number, (part, own) in enumerate(zip(parts, counted), start=1):
            waits = self.world.size > 1 and number < len(parts)  # gradients are exchanged once, with the last part
            with self.model.no_sync() if waits else nullcontext(), self.flops.counting(own[self.task.unit]):
                with autocast(self.settings, self.device):
                    losses = self.task.loss(self.model, part, counts)
                losses["loss"].backward()
            total = {name: total.get(name, 0.0) + value.detach() for name, value in losses.items()}
        norm = nn.utils.clip_grad_norm_(self.task.model.parameters(), self.settings.optim.clip_norm).detach()
        finite = bool(norm.isfinite())
        if finite:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.bad_steps = 0 if finite else self.bad_steps + 1
        if self.bad_steps >= PATIENCE_FOR_NAN:
            raise InputError(
                f"{self.folder.path}: {self.bad_steps} updates in a row had gradients that are not finite; lower optim.lr"
            )
        return total, norm, finite

    def after_update(self) -> None:
        """Counts the step, and logs, validates and saves where it is time to."""
        settings = self.settings
        self.step, self.position = self.step + 1, self.position + 1
        self.bar.update()
        last = self.step == settings.optim.steps
        if self.step % settings.log_every == 0 or last:
            self.report()
        is_best = (self.step % settings.validate_every == 0 or last) and self.validate()
        is_scheduled = self.step % settings.checkpoint_every == 0 or self.ended
        if is_scheduled or is_best:
            self.save(is_best, is_scheduled)
        if self.ended and not last:
            self.say(
                f"step {self.step}: {self.disappointments} validations without a better dev {self.task.best_metric} than {self.best:.4g}: enough (patience)"
            )

    def report(self) -> None:
        """A line of the log, and what the progress bar says."""
        unit = self.task.unit
        values = self.meter.report(unit, self.world, self.flops, self.peak) | self.task.gauges()
        values |= {"lr": self.optimizer.param_groups[0]["lr"], "epoch": self.epoch}
        self.folder.log(self.step, "train", values)
        shown = [
            f"loss {values['loss']:.3f}",
            f"{values[unit + '_per_s']:.0f} {unit}/s",
            f"waits {values['data_wait_percent']:.0f} %",
        ]
        shown += [f"MFU {values['mfu_percent']:.0f} %"] if "mfu_percent" in values else []
        self.bar.set_postfix_str(", ".join(shown))
        self.meter = Meter()

    def validate(self) -> bool:
        """Figures on held-out data, logged; returns whether they are the best so far."""
        figures = held_out(partial(self.task.validate, self.step), self.task.model, self.settings)
        figures = self.world.gather(figures)[0]  # a last bit that differs must not part the ranks' ways
        self.folder.log(self.step, "dev", figures)
        self.say(f"step {self.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        value = figures[self.task.best_metric]
        is_best = math.isfinite(value) and (self.best is None or value < self.best)
        self.best = value if is_best else self.best
        self.disappointments = 0 if is_best else self.disappointments + 1
        return is_best

    def say(self, line: str) -> None:
        """A line for people, above the progress bar."""
        if self.world.is_main:
            self.bar.write(line)

    def save(self, is_best: bool, is_scheduled: bool) -> None:
        """Writes a training checkpoint (the main process, with the random states of all)."""
        random = self.world.gather(random_state(self.device))
        if self.world.is_main:
            self.checkpoints.save(
                self.step,
                {
                    "epoch": self.epoch,
                    "position": self.position,
                    "best": self.best,
                    "is_best": is_best,
                    "bad_steps": self.bad_steps,
                    "disappointments": self.disappointments,
                    "data_mark": self.task.data_mark,
                    "model": self.task.model.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "random": random,
                    "settings": to_plain(self.settings),
                    "encoder_config": self.task.encoder.config.to_dict(),
                    "provenance": self.task.provenance(self.step),
                },
                is_best,
                is_scheduled,
                self.settings.keep_checkpoints,
            )
        self.saved_step = self.step

    def end_early(self, received: int) -> None:
        """Saves and ends the process after a signal."""
        if self.saved_step != self.step:
            self.save(is_best=False, is_scheduled=False)
        self.bar.close()
        if self.world.is_main:
            print(f"Stopped by signal {received} at step {self.step}, saved; go on with --resume")
        self.world.wait()
        raise SystemExit(128 + received)

    def restore(self) -> None:
        """Takes up the newest whole checkpoint, where there is one.

        Raises:
            InputError: it is of other settings, data or another number of processes.
        """
        state = self.checkpoints.load_latest()
        if len(set(self.world.gather(state and state["step"]))) > 1:
            raise InputError("--resume: the processes see different checkpoints; is the run folder on a shared disk?")
        if state is None:  # interrupted before the first
            self.clear_after({"step": 0, "is_best": False})
            return
        then, now = without_free(state["settings"]), without_free(to_plain(self.settings))
        if then != now:
            changed = sorted(k for k in then.keys() | now.keys() if then.get(k) != now.get(k))
            raise InputError(
                f"--resume: the run was started with other settings ({', '.join(changed)}); give the same ones, or --fresh"
            )
        if len(state["random"]) != self.world.size:
            raise InputError(
                f"--resume: the run was started with {len(state['random'])} processes, not {self.world.size}; start as many"
            )
        if state["data_mark"] != self.task.data_mark:
            raise InputError(
                "--resume: the training data are not those that the run was started with; give the same ones, or --fresh"
            )
        self.task.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        restore_random(state["random"][self.world.rank], self.device)
        self.step, self.epoch, self.position, self.best = (
            state["step"],
            state["epoch"],
            state["position"],
            state["best"],
        )
        self.saved_step, self.bad_steps, self.disappointments = self.step, state["bad_steps"], state["disappointments"]
        self.clear_after(state)

    def clear_after(self, state: dict) -> None:
        """Clears what an interruption left in the folder after a checkpoint."""
        if self.world.is_main:
            self.checkpoints.repair(state["step"], state["is_best"])
            self.folder.cut_log(state["step"])
            print(f"Resumed {self.folder.path} at step {state['step']} of {self.settings.optim.steps}")
        self.world.wait()


def add_up(counts: list[dict[str, int]]) -> dict[str, int]:
    """Counts of several micro-batches, by name."""
    return {name: sum(one[name] for one in counts) for name in counts[0]}


def without_free(settings: dict) -> dict:
    """Settings by dotted name, without those that may change at a resume."""
    flat = {}
    for name, value in settings.items():
        flat |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    return {name: value for name, value in flat.items() if name not in MAY_CHANGE}


@torch.no_grad()
def held_out(evaluate: Callable[[], dict[str, float]], model: nn.Module, settings: TrainSettings) -> dict[str, float]:
    """Figures of `evaluate()` with the model in evaluation mode; the random state of training stays as it was."""
    device = next(model.parameters()).device
    kept = random_state(device)
    model.eval()
    with autocast(settings, device):
        figures = evaluate()
    restore_random(kept, device)
    return figures


def random_state(device: torch.device) -> dict:
    """State of the generators that training draws from: torch's alone (data are drawn by seed, epoch and item)."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None}


def restore_random(state: dict, device: torch.device) -> None:
    """The reverse of `random_state`."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
