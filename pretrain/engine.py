"""The training loop of both stages: one process, from the first step or from where a run was interrupted."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mmpt.pretrain.run_folder import RunFolder, export_encoder
from mmpt.pretrain.settings import OptimSettings, TrainSettings, to_plain
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder

PATIENCE_FOR_NAN = 20  # updates in a row without a finite gradient before the run gives up


class Task(Protocol):
    """What a stage gives the loop."""

    model: nn.Module  # holds the encoder as `model.encoder`
    encoder: Encoder
    unit: str  # what a batch is counted in: "clips", "frames"
    best_metric: str  # of `validate`; the checkpoint where it is lowest becomes `best`

    def batches(self, epoch: int, skip: int) -> Iterator:
        """Batches of an epoch without its first `skip`, the same ones each time it is asked."""

    def loss(self, batch) -> dict[str, Tensor]:
        """Losses by name; `loss` is the one to minimise. Runs on `model`'s device."""

    def size(self, batch) -> int:
        """Units in a batch."""

    def validate(self, step: int) -> dict[str, float]:
        """Figures on held-out data, by name; the model is in evaluation mode, without gradients."""

    def provenance(self, step: int) -> dict:
        """Where the encoder's weights come from after `step` updates (see mmpt_av.checkpoint)."""


def train(task: Task, settings: TrainSettings, folder: RunFolder, resume: bool) -> None:
    """Trains until `optim.steps`, validates, saves, and leaves `encoder.pt` in the folder.

    SIGTERM and Ctrl-C save and end the process after the current step.

    Raises:
        InputError: the run to resume had other settings, or gradients are not finite any more.
    """
    device = next(task.model.parameters()).device
    optimizer = make_optimizer(task.model, settings.optim)
    step, epoch, position, best = 0, 0, 0, None
    if resume and (state := folder.load_latest()):
        step, epoch, position, best = restore(state, task, optimizer, settings)
        folder.cut_log(step)
        print(f"Resumed {folder.path} at step {step} of {settings.optim.steps}")
    stop = StopSignal()
    bar = tqdm(total=settings.optim.steps, initial=step, unit="step", desc="train", dynamic_ncols=True)
    meter = Meter()
    bad_steps = 0

    def save(is_best: bool, is_scheduled: bool) -> None:
        folder.save(step, {
            "epoch": epoch, "position": position, "best": best, "model": task.model.state_dict(),
            "optimizer": optimizer.state_dict(), "random": random_state(device), "settings": to_plain(settings),
            "encoder_config": task.encoder.config.to_dict(), "provenance": task.provenance(step),
        }, is_best, is_scheduled, settings.keep_checkpoints)

    while step < settings.optim.steps:
        batches = iter(task.batches(epoch, position))
        while step < settings.optim.steps:
            started = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            waited = time.perf_counter() - started
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, settings.optim)
            task.model.train()
            with settings.autocast(device):
                losses = task.loss(batch)
            losses["loss"].backward()
            norm = nn.utils.clip_grad_norm_(task.model.parameters(), settings.optim.clip_norm)
            finite = bool(norm.isfinite())
            if finite:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            bad_steps = 0 if finite else bad_steps + 1
            if bad_steps >= PATIENCE_FOR_NAN:
                raise InputError(f"{folder.path}: {bad_steps} updates in a row had gradients that are not finite; lower optim.lr")
            step, position = step + 1, position + 1
            meter.add(losses, norm, task.size(batch), waited, time.perf_counter() - started, finite)
            bar.update()
            last = step == settings.optim.steps
            if step % settings.log_every == 0 or last:
                values = meter.report(task.unit) | {"lr": optimizer.param_groups[0]["lr"], "epoch": epoch}
                folder.log(step, "train", values)
                bar.set_postfix_str(f"loss {values['loss']:.3f}, {values[task.unit + '_per_s']:.0f} {task.unit}/s, "
                                    f"waits {values['data_wait_percent']:.0f} %")
                meter = Meter()
            is_best = False
            if step % settings.validate_every == 0 or last:
                figures = held_out(partial(task.validate, step), task.model, settings)
                folder.log(step, "dev", figures)
                bar.write(f"step {step}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
                value = figures[task.best_metric]
                is_best = math.isfinite(value) and (best is None or value < best)
                best = value if is_best else best
            is_scheduled = step % settings.checkpoint_every == 0 or last
            if is_scheduled or is_best or stop.received:
                save(is_best, is_scheduled)
            if stop.received:
                bar.close()
                print(f"Stopped by signal {stop.received} at step {step}, saved; go on with --resume")
                raise SystemExit(128 + stop.received)
        if position == 0:
            raise InputError("an epoch gave no batch: there is too little training data for one")
        if step < settings.optim.steps:
            epoch, position = epoch + 1, 0
    bar.close()
    stop.close()
    files = folder.which(settings.export, settings.keep_checkpoints)
    export_encoder(files, folder.encoder_file)
    folder.board.close()
    print(f"Encoder ({settings.export}): {folder.encoder_file}")


def make_optimizer(model: nn.Module, settings: OptimSettings) -> torch.optim.AdamW:
    """AdamW; biases, norms and other vectors are not decayed."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)


def learning_rate(step: int, settings: OptimSettings) -> float:
    """Linear warm-up, then cosine to zero or the inverse square root (Vaswani et al. 2017). `step` counts from 0."""
    warmup = settings.warmup_steps
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    if settings.schedule == "inverse_sqrt":
        return settings.lr * math.sqrt(max(warmup, 1) / (step + 1))
    progress = (step - warmup) / max(settings.steps - warmup, 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@torch.no_grad()
def held_out(evaluate: Callable[[], dict[str, float]], model: nn.Module, settings: TrainSettings) -> dict[str, float]:
    """Figures of `evaluate()` with the model in evaluation mode; the random state of training stays as it was."""
    device = next(model.parameters()).device
    kept = random_state(device)
    model.eval()
    with settings.autocast(device):
        figures = evaluate()
    restore_random(kept, device)
    return figures


def restore(state: dict, task: Task, optimizer: torch.optim.Optimizer, settings: TrainSettings) -> tuple[int, int, int, float | None]:
    """Takes up a training checkpoint; returns step, epoch, position in the epoch and the best figure so far."""
    then, now = state["settings"], to_plain(settings)
    for moving in ("device", "log_every"):  # may change without changing the result
        then.pop(moving), now.pop(moving)
    if then != now:
        changed = sorted(k for k in then.keys() | now.keys() if then.get(k) != now.get(k))
        raise InputError(f"--resume: the run was started with other settings ({', '.join(changed)}); give the same ones, or --fresh")
    task.model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    restore_random(state["random"], next(task.model.parameters()).device)
    return state["step"], state["epoch"], state["position"], state["best"]


def random_state(device: torch.device) -> dict:
    """State of the generators that training draws from: torch's alone (data are drawn by seed, epoch and item)."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None}


def restore_random(state: dict, device: torch.device) -> None:
    """The reverse of `random_state`."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


class Meter:
    """Sums over an interval; tensors stay on the device until the interval is reported."""

    def __init__(self):
        self.losses: dict[str, Tensor] = {}
        self.norm = 0.0
        self.steps = self.units = self.skipped = 0
        self.waited = self.seconds = 0.0

    def add(self, losses: dict[str, Tensor], norm: Tensor, units: int, waited: float, seconds: float, finite: bool) -> None:
        for name, value in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + value.detach()
        self.norm = self.norm + norm.detach()
        self.steps += 1
        self.units += units
        self.waited += waited
        self.seconds += seconds
        self.skipped += not finite

    def report(self, unit: str) -> dict[str, float]:
        """Means by name, rates, and the share of time spent waiting for data."""
        return {
            **{name: float(total) / self.steps for name, total in self.losses.items()},
            "gradient_norm": float(self.norm) / self.steps,
            f"{unit}_per_s": self.units / self.seconds,
            "steps_per_s": self.steps / self.seconds,
            "data_wait_percent": 100 * self.waited / self.seconds,
            "skipped_updates": self.skipped,
        }


class StopSignal:
    """Remembers SIGTERM and Ctrl-C so that the loop can save first; a second Ctrl-C ends at once."""

    def __init__(self):
        self.received = 0
        self.before = {number: signal.signal(number, self.receive) for number in (signal.SIGTERM, signal.SIGINT)}

    def receive(self, number: int, frame) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number

    def close(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
