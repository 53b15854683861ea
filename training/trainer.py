"""The training loop of both stages, in one process or in many."""

import gc
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmpt.training.bad_updates import BadUpdates
from mmpt.training.best import Best
from mmpt.training.checkpoints import Checkpoints, export_encoder
from mmpt.training.device import autocast, set_precision, uses_bfloat16
from mmpt.training.distributed import Counts, World
from mmpt.training.half_weights import half_weights
from mmpt.training.meter import FlopCount, Meter, in_short, peak_memory, peak_tflops
from mmpt.training.optimizer import make_optimizer, restore_optimizer, set_learning_rate
from mmpt.training.prefetch import Prefetcher
from mmpt.training.resuming import check_resumable, random_state, restore_random_state
from mmpt.training.run_folder import RunFolder
from mmpt.training.running_statistics import RunningStatistics
from mmpt.training.settings import TrainSettings, to_plain
from mmpt.training.stop_signal import StopSignal
from mmpt.training.task import Batch, TrainingTask
from mmpt.training.updates import Update, prepared_updates
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.recompute import checkpoint_blocks
from mmpt.upstream.progress import Progress


def train(task: TrainingTask, settings: TrainSettings, folder: RunFolder, resume: bool, world: World) -> None:
    """Train, validate and save; write `encoder.pt` to the folder at the end.

    Training ends after `optim.steps` updates, or after `patience` validations in a row without a better one. SIGTERM
    and Ctrl-C save a checkpoint and end the process, after the current update or the next, which may be prepared.

    Raises:
        InputError: the run to resume had other settings, data or another number of processes; gradients are no longer
            finite; too much of the data cannot be read.
    """
    trainer = Trainer(task, settings, folder, world)
    if resume:
        trainer.resume()
    folder.open_board(trainer.step)
    trainer.run()
    if world.is_main:
        selected = trainer.checkpoints.select(settings.export)
        export_encoder(selected, folder.encoder_file, finish=task.finish_encoder)
        folder.board.close()
        print(f"Encoder ({settings.export}): {folder.encoder_file}")
    world.wait()


class Trainer:
    """One process of a run: its model and optimiser, and how far it has come."""

    def __init__(self, task: TrainingTask, settings: TrainSettings, folder: RunFolder, world: World):
        self.task, self.settings, self.folder, self.world = task, settings, folder, world
        self.checkpoints = Checkpoints(folder.path, settings.keep_checkpoints, settings.patience)
        self.device = next(task.model.parameters()).device
        set_precision(settings, self.device, prints=world.is_main)
        self.optimizer = make_optimizer(task.model, settings.optim)
        checkpoint_blocks(task.model, settings.optim.checkpoint_blocks)
        runs_again = settings.optim.accumulate > 1 or settings.optim.checkpoint_blocks
        self.statistics = RunningStatistics(task.model, enabled=runs_again)
        if settings.compile:
            if world.is_main:
                print("compile=true: the first update waits about a minute for compilation")
            task.compile()
        self.peak = settings.peak_tflops or (peak_tflops(self.device) if uses_bfloat16(settings, self.device) else None)
        self.wrap_model()
        self.step = self.epoch = 0
        self.epoch_step = 0  # updates done in this epoch
        self.saved_step: int | None = None
        self.best = Best()
        self.bad_updates = BadUpdates(self.device)
        self.prefetcher = Prefetcher(self.device)
        # Weights are drawn alike on all ranks, dropout is not.
        torch.manual_seed(settings.seed + 1_000_003 * world.rank)
        self.meter = Meter()

    def wrap_model(self) -> None:
        """Wrap the model for the weights that are trained from now on."""
        self.model = self.task.model
        gc.collect()  # the old DDP, if any, would wait for gradients of weights that are frozen now
        self.model = self.world.wrap(self.task.model)
        self.half_weights = half_weights(self.task.model, self.settings, self.device)
        self.flops = FlopCount(enabled=bool(self.peak))

    @property
    def has_ended(self) -> bool:
        """Whether the last update is done."""
        return self.step >= self.settings.optim.steps or 0 < self.settings.patience <= self.best.since

    def run(self) -> None:
        """Train from the current step to the end."""
        steps, hidden = self.settings.optim.steps, not self.world.is_main
        self.bar = Progress(
            total=steps, initial=self.step, unit="step", desc="train", dynamic_ncols=True, disable=hidden
        )
        with StopSignal() as stop, self.bar:
            if self.saved_step is None and self.task.validates_untrained:
                self.held_out_figures()
            self.meter.restart()
            while not self.has_ended:
                self.train_epoch(stop)
                if self.epoch_step == 0:
                    raise InputError("an epoch gave no batch: there is too little training data for one")
                self.epoch, self.epoch_step = self.epoch + 1, 0

    def train_epoch(self, stop: StopSignal) -> None:
        """Train to the end of the epoch, or of the run."""
        batches = self.meter.waiting_for(self.task.batches(self.epoch, self.epoch_step))
        accumulate = self.settings.optim.accumulate
        updates = prepared_updates(self.task, batches, accumulate, self.world, stop, self.prefetcher)
        update = next(updates, None)
        while update is not None and not self.has_ended:
            if update.signal:
                self.save_and_exit(update.signal)
            update = self.train_step(update, updates)

    def train_step(self, update: Update, updates: Iterator[Update]) -> Update | None:
        """Run one update, with the logging, validation and saving that are due after it; return the next update.

        Nothing waits for the GPU before the next update is prepared.
        """
        set_learning_rate(self.optimizer, self.step, self.settings.optim)
        self.set_trained_weights()

        self.statistics.begin()
        losses: dict[str, Tensor] = {}
        with self.flops.update():
            ahead = self.look_ahead(update)
            batches = self.prefetcher.each(update.parts)
            for number, (batch, own) in enumerate(zip(batches, update.part_counts)):
                is_last = number == len(update.parts) - 1
                with self.gradient_exchange(is_last), self.flops.counting(own[self.task.unit]):
                    part_losses = self.forward_backward(batch, update.counts, ahead and ahead[number])
                losses = {name: losses.get(name, 0.0) + value.detach() for name, value in part_losses.items()}
        self.statistics.end()
        norm, is_bad = self.apply_gradients()
        self.step, self.epoch_step = self.step + 1, self.epoch_step + 1
        upcoming = next(updates, None) if self.step < self.settings.optim.steps else None
        self.meter.add(losses, norm, is_bad, sum(own[self.task.unit] for own in update.part_counts))
        self.bar.update()

        if self.is_due(self.settings.log_every):
            self.log()
        validates = self.is_due(self.settings.validate_every)
        is_scheduled = self.step % self.settings.checkpoint_every == 0 or self.has_ended
        if validates or is_scheduled:
            self.bad_updates.in_a_row()  # waits for the update, whose time is not the pause's
        with self.meter.paused():
            is_best = validates and self.validate()
            is_scheduled = is_scheduled or self.has_ended  # a validation may end the run
            if is_best or is_scheduled:
                self.save(is_best, is_scheduled)
        return upcoming

    def set_trained_weights(self) -> None:
        """Put the model into training mode, without the weights that are frozen in the next update."""
        self.task.model.train()
        if self.task.freeze(self.step):
            self.wrap_model()

    def gradient_exchange(self, is_last: bool) -> AbstractContextManager:
        """Return the context of a micro-batch's backward pass: ranks exchange gradients once, with the last one."""
        if is_last or not isinstance(self.model, DistributedDataParallel):
            return nullcontext()
        return self.model.no_sync()

    def look_ahead(self, update: Update) -> list[Any] | None:
        """Return what the loss of each micro-batch must know of the others (see TrainingTask.look_ahead)."""
        if len(update.parts) == 1:
            return None
        with self.half_weights.used(), autocast(self.settings, self.device):
            return self.task.look_ahead(self.prefetcher.each(update.parts), update.counts)

    def forward_backward(self, batch: Batch, counts: Counts, ahead: Any) -> dict[str, Tensor]:
        """Add a micro-batch's gradients to the update's; return its losses by name."""
        self.statistics.put_back()
        with self.half_weights.used():
            with autocast(self.settings, self.device):
                losses = self.task.loss(self.model, batch, counts, ahead)
            self.statistics.collect()
            losses["loss"].backward()
        return losses

    def apply_gradients(self) -> tuple[Tensor, Tensor]:
        """Clip the gradients and change the weights by them, unless they are not finite.

        Return the gradients' norm, and 1.0 if the update was skipped, else 0.0. Both lie on the device: only earlier
        updates are known here.
        """
        norm = nn.utils.clip_grad_norm_(self.task.model.parameters(), self.settings.optim.clip_norm).detach()
        self.bad_updates.check(str(self.folder.path))
        is_bad = self.bad_updates.add(norm)
        self.optimizer.found_inf = is_bad  # type: ignore[attr-defined]  # as torch.amp.GradScaler sets it
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm, is_bad

    def is_due(self, every: int) -> bool:
        """Return True after each `every` updates, and after the last."""
        return self.step % every == 0 or self.step == self.settings.optim.steps

    def log(self) -> None:
        """Log the interval since the last call, and show it in the progress bar."""
        unit = self.task.unit
        figures = self.meter.report(unit, self.world, self.flops, self.peak) | self.task.gauges()
        figures |= peak_memory(self.device)
        figures |= {"lr": self.optimizer.param_groups[0]["lr"], "epoch": self.epoch}
        self.folder.log(self.step, "train", figures)
        self.bar.set_postfix_str(in_short(figures, unit))
        self.meter.restart()

    @torch.no_grad()
    def held_out_figures(self) -> dict[str, float]:
        """Return figures on held-out data, and log them. The random state of training stays as it was."""
        state = random_state(self.device)
        self.task.model.eval()
        # Compiled blocks run as they are written: for a few batches without gradient compiling would not pay.
        with torch.compiler.set_stance("force_eager"), autocast(self.settings, self.device):
            figures = self.task.validate(self.step)
        restore_random_state(state, self.device)
        figures = self.world.gather(figures)[0]  # ranks must decide alike, even if they differ in the last bit
        self.folder.log(self.step, "dev", figures)
        self.print_line(f"step {self.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        return figures

    def validate(self) -> bool:
        """Log figures on held-out data; return True if they are the best so far."""
        figures = self.held_out_figures()
        metric = f"dev {self.task.best_metric}"
        if not math.isfinite(figures[self.task.best_metric]):
            self.print_line(f"step {self.step}: the {metric} is not finite, so this step cannot become the best one")
        is_best = self.best.add(figures[self.task.best_metric])
        if self.has_ended and self.step < self.settings.optim.steps:
            self.print_line(f"step {self.step}: {self.best.disappointment(metric)}: training ends (patience)")
        return is_best

    def print_line(self, line: str) -> None:
        """Print a line above the progress bar, in the main process."""
        if self.world.is_main:
            self.bar.write(line)

    def save(self, is_best: bool, is_scheduled: bool) -> None:
        """Save a training checkpoint: the main process writes it, with the random states of all ranks."""
        self.bad_updates.check(str(self.folder.path))
        random = self.world.gather(random_state(self.device))
        content = {
            "epoch": self.epoch,
            "position": self.epoch_step,
            "best": self.best.value,
            "is_best": is_best,
            "bad_steps": self.bad_updates.in_a_row(),
            "disappointments": self.best.since,
            "data_mark": self.task.data_checksum,
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random,
            "settings": to_plain(self.settings),
            "encoder_config": self.task.encoder.config.to_dict(),
            "provenance": self.task.provenance(self.step),
        }
        if self.world.is_main:
            self.checkpoints.save(self.step, content, is_best, is_scheduled)
        self.saved_step = self.step

    def save_and_exit(self, signal_number: int) -> None:
        """Save a checkpoint and end the process after a signal."""
        if self.saved_step != self.step:
            self.save(is_best=False, is_scheduled=False)
        self.bar.close()
        if self.world.is_main:
            print(f"Stopped by signal {signal_number} at step {self.step}, saved; continue with --resume")
        self.world.wait()
        raise SystemExit(128 + signal_number)

    def resume(self) -> None:
        """Continue from the newest whole checkpoint, or from the start if the run was interrupted before its first.

        Raises:
            InputError: the checkpoint has other settings or data, or another number of processes.
        """
        state = self.checkpoints.load_latest()
        if len(set(self.world.gather(state and state["step"]))) > 1:
            raise InputError("--resume: the processes see different checkpoints; is the run folder on a shared disk?")
        if state is not None:
            check_resumable(state, self.settings, self.world.size, self.task.data_checksum)
            self.folder.keep_config(to_plain(self.settings))
            self.restore(state)
        if self.world.is_main:
            self.checkpoints.repair(self.step, state is not None and state["is_best"])
            self.folder.cut_log(-1 if state is None else self.step)  # without a checkpoint all is done again
            print(f"Resumed {self.folder.path} at step {self.step} of {self.settings.optim.steps}")
        self.world.wait()

    def restore(self, state: dict) -> None:
        """Take over the content of a checkpoint."""
        self.task.model.load_state_dict(state["model"])
        restore_optimizer(self.optimizer, state["optimizer"])
        restore_random_state(state["random"][self.world.rank], self.device)
        self.step, self.epoch, self.epoch_step = state["step"], state["epoch"], state["position"]
        self.best = Best(state["best"], state["disappointments"])
        self.saved_step = self.step
        self.bad_updates = BadUpdates(self.device, state["bad_steps"])
