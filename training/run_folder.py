"""A run's folder: its config, log, checkpoints and the encoder it leaves. Everything is written whole or not at all."""

import json
import math
import os
import shutil
from pathlib import Path

import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig, save_encoder
from mmpt.upstream.mmpt_av.checkpoint import check_state, read_plain, write_atomically

FORMAT = "mmpt_av_training"
VERSION = 3


class RunFolder:
    """`config.yaml`, `log.jsonl`, `tensorboard/`, `checkpoints/` (`latest`, `best`, the last k) and `encoder.pt`."""

    def __init__(self, path: Path, writes: bool = True):
        """`writes`: False on the ranks that leave it to the main process."""
        self.path = path
        self.writes = writes
        self.checkpoints = path / "checkpoints"
        self.log_file = path / "log.jsonl"
        self.encoder_file = path / "encoder.pt"

    def check(self, resume: bool, fresh: bool) -> None:
        """Whether the folder may be used, before anything slow begins.

        Raises:
            InputError: it holds a run and neither `resume` nor `fresh` says what to do with it; there is none to resume;
                `fresh` would delete something that is no run.
        """
        if resume and fresh:
            raise InputError("--resume goes on and --fresh starts again: give one of them")
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            if resume:
                raise InputError(f"{self.path}: no run to resume here; leave --resume out to start one")
        elif not self.path.is_dir() or not self.is_run():
            raise InputError(f"{self.path}: is not empty and not a run folder; name another with --out")
        elif not resume and not fresh:
            raise InputError(
                f"{self.path}: holds a run already: --resume goes on with it, --fresh starts again, --out names another folder"
            )

    def is_run(self) -> bool:
        """Whether a run was started here: --fresh deletes nothing else."""
        return (self.path / "config.yaml").is_file() and self.checkpoints.is_dir()

    def outside(self, path: Path, what: str) -> Path:
        """`path`, unless it lies in this folder, where --fresh would delete it (InputError)."""
        if path.resolve().is_relative_to(self.path.resolve()):
            raise InputError(
                f"{path}: {what} lies in the run folder that it would be used for; name another with --out"
            )
        return path

    def prepare(self, config: dict, fresh: bool) -> None:
        """Makes the folder, anew if `fresh`, with the resolved config: whole or not at all. Call `check` before."""
        if not self.writes:
            return
        if fresh and self.path.exists():
            old = self.path.with_name(
                f".{self.path.name}.deleted.{os.getpid()}"
            )  # a half-deleted run would look like none
            self.path.rename(old)
            shutil.rmtree(old)
        if not self.is_run():
            new = self.path.absolute().with_name(f".{self.path.absolute().name}.new.{os.getpid()}")
            (new / "checkpoints").mkdir(parents=True)
            write_text(new / "config.yaml", yaml.safe_dump(config, sort_keys=False))
            new.rename(self.path)

    def open_board(self, step: int) -> None:
        """Begins TensorBoard's record; what an interrupted run wrote there after `step` is hidden."""
        if self.writes:
            self.board = SummaryWriter(str(self.path / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, split: str, values: dict[str, float]) -> None:
        """One line of JSON, and the same numbers on TensorBoard."""
        if not self.writes:
            return
        with self.log_file.open("a", encoding="utf-8") as file:
            finite = {
                name: value if math.isfinite(value) else None for name, value in values.items()
            }  # JSON knows no NaN
            file.write(json.dumps({"step": step, "split": split, **finite}) + "\n")
        for name, value in values.items():
            self.board.add_scalar(f"{split}/{name}", value, step)

    def go_back_to(self, state: dict) -> None:
        """Clears what an interruption left: half-written files, and lines of the log after the checkpoint `state`, whose steps
        are done again. An interruption between a best checkpoint and its link is mended.
        """
        for half in self.checkpoints.glob(".*"):
            half.unlink()
        if state["is_best"]:
            self.link("best", self.file_of(state["step"]))
        if self.log_file.is_file():
            lines = self.log_file.read_text(encoding="utf-8").splitlines()
            whole = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= state["step"]]
            write_text(self.log_file, "".join(line + "\n" for line in whole))

    def link(self, name: str, file: Path) -> None:
        """Moves `latest` or `best` to a checkpoint."""
        temporary = self.checkpoints / f".{name}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(file.name)
        os.replace(temporary, self.checkpoints / f"{name}.pt")

    def file_of(self, step: int) -> Path:
        """The checkpoint written at a step."""
        return next(
            file for kind in ("step", "extra") if (file := self.checkpoints / f"{kind}_{step:08d}.pt").is_file()
        )

    def save(self, step: int, content: dict, is_best: bool, is_scheduled: bool, keep: int) -> None:
        """Writes a training checkpoint, moves `latest` (and `best`) to it and drops all but the last `keep`.

        Those off the schedule (the best one, or where a run was stopped) are not counted and not averaged: an
        interrupted run then leaves the same encoder as an unbroken one.
        """
        file = self.checkpoints / (f"step_{step:08d}.pt" if is_scheduled else f"extra_{step:08d}.pt")
        write_atomically({"format": FORMAT, "version": VERSION, "step": step, **content}, file)
        for name in ("latest", "best") if is_best else ("latest",):
            self.link(name, file)
        pointed_at = {(self.checkpoints / f"{name}.pt").resolve() for name in ("best", "latest")}
        for old in [*self.kept()[:-keep], *self.checkpoints.glob("extra_*.pt")]:
            if old.resolve() not in pointed_at:
                old.unlink()

    def kept(self) -> list[Path]:
        """The checkpoints of the schedule, oldest first."""
        return sorted(self.checkpoints.glob("step_*.pt"))

    def load_latest(self) -> dict | None:
        """The newest whole training checkpoint, or None where there is none yet.

        Raises:
            InputError: there are some, but none can be read.
        """
        found = [*self.kept(), *self.checkpoints.glob("extra_*.pt")]
        for file in sorted(found, key=lambda file: file.stem.split("_")[1], reverse=True):
            try:
                return read_training(file)
            except CheckpointError as error:
                print(f"{error}; looking for one before it")
        if found:
            raise InputError(
                f"{self.path}: none of its {len(found)} checkpoints can be read by this version; --fresh starts again"
            )
        return None

    def which(self, export: str, keep: int) -> list[Path]:
        """The checkpoints that `export` (last, best or average) speaks of.

        Raises:
            InputError: the run has written none yet.
        """
        files = {"last": self.kept()[-1:], "average": self.kept()[-keep:], "best": [self.checkpoints / "best.pt"]}[
            export
        ]
        if not files or not files[0].is_file():
            raise InputError(f"{self.path}: no checkpoint for `{export}` here; has the run been trained?")
        return files


def read_training(path: Path) -> dict:
    """A training checkpoint.

    Raises:
        CheckpointError: it is damaged or something else.
    """
    content = read_plain(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(path, "is not a training checkpoint of this project")
    if content.get("version") != VERSION:
        raise CheckpointError(path, f"has version {content.get('version')!r}; this code reads version {VERSION}")
    return content


def export_encoder(files: list[Path], out: Path, frame_hop: int | None = None) -> dict:
    """Writes the encoder out of a training checkpoint, or the mean of several, and returns its provenance. `frame_hop`:
    see EncoderConfig; None leaves it as it was.
    """
    contents = [read_training(file) for file in files]
    newest = contents[-1]
    encoder = Encoder(EncoderConfig.from_dict(newest["encoder_config"]))
    states = [
        {k.removeprefix("encoder."): v for k, v in c["model"].items() if k.startswith("encoder.")} for c in contents
    ]
    for file, state in zip(files, states):
        check_state(file, state, encoder.state_dict())
    encoder.load_state_dict(average(states))
    encoder.hop = frame_hop or encoder.hop
    provenance = newest["provenance"]
    provenance["stages"][-1]["averaged_steps"] = [c["step"] for c in contents]
    save_encoder(encoder, out, provenance)
    return provenance


def average(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of weights of the same names and shapes."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in states[-1].items()
    }
