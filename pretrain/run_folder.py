"""A run's folder: its config, log, checkpoints and the encoder it leaves. Everything is written whole or not at all."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig, save_encoder
from mmpt.upstream.mmpt_av.checkpoint import check_state, read_plain, write_atomically

FORMAT = "mmpt_av_training"
VERSION = 1


class RunFolder:
    """`config.yaml`, `log.jsonl`, `tensorboard/`, `checkpoints/` (`latest`, `best`, the last k) and `encoder.pt`."""

    def __init__(self, path: Path):
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.log_file = path / "log.jsonl"
        self.encoder_file = path / "encoder.pt"

    def check(self, resume: bool, fresh: bool) -> None:
        """Whether the folder may be used, before anything slow begins.

        Raises:
            InputError: it holds a run and neither `resume` nor `fresh` says what to do with it; there is none to resume;
                `fresh` would delete something that is no run.
        """
        if not self.path.exists() or not any(self.path.iterdir()):
            if resume:
                raise InputError(f"{self.path}: no run to resume here; leave --resume out to start one")
        elif not (self.path / "config.yaml").is_file():
            raise InputError(f"{self.path}: is not empty and not a run folder; name another with --out")
        elif not resume and not fresh:
            raise InputError(f"{self.path}: holds a run already: --resume goes on with it, --fresh starts again, --out names another folder")

    def prepare(self, config: dict, fresh: bool) -> None:
        """Makes the folder, emptied first if `fresh`, and writes the resolved config. Call `check` before."""
        if fresh and self.path.exists():
            shutil.rmtree(self.path)
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        if not (self.path / "config.yaml").is_file():
            write_text(self.path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
        self.board = SummaryWriter(str(self.path / "tensorboard"))

    def log(self, step: int, split: str, values: dict[str, float]) -> None:
        """One line of JSON, and the same numbers on TensorBoard."""
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        for name, value in values.items():
            self.board.add_scalar(f"{split}/{name}", value, step)

    def save(self, step: int, content: dict, is_best: bool, keep: int) -> None:
        """Writes a training checkpoint, moves `latest` (and `best`) to it and drops all but the last `keep`."""
        file = self.checkpoints / f"step_{step:08d}.pt"
        write_atomically({"format": FORMAT, "version": VERSION, "step": step, **content}, file)
        for name in ("latest", "best") if is_best else ("latest",):
            temporary = self.checkpoints / f".{name}.{os.getpid()}"
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(file.name)
            os.replace(temporary, self.checkpoints / f"{name}.pt")
        best = (self.checkpoints / "best.pt").resolve()
        for old in self.kept()[:-keep]:
            if old != best:
                old.unlink()

    def kept(self) -> list[Path]:
        """The numbered checkpoints, oldest first."""
        return sorted(p.resolve() for p in self.checkpoints.glob("step_*.pt"))

    def load_latest(self) -> dict | None:
        """The newest whole training checkpoint, or None where there is none yet."""
        for file in reversed(self.kept()):
            try:
                return read_training(file)
            except CheckpointError as error:
                print(f"{error}; taking the one before it")
        return None

    def which(self, export: str, keep: int) -> list[Path]:
        """The checkpoints that `export` (last, best or average) speaks of.

        Raises:
            InputError: the run has written none yet.
        """
        files = {"last": self.kept()[-1:], "average": self.kept()[-keep:], "best": [self.checkpoints / "best.pt"]}[export]
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


def export_encoder(files: list[Path], out: Path) -> dict:
    """Writes the encoder out of a training checkpoint, or the mean of several, and returns its provenance."""
    contents = [read_training(file) for file in files]
    newest = contents[-1]
    encoder = Encoder(EncoderConfig.from_dict(newest["encoder_config"]))
    states = [{k.removeprefix("encoder."): v for k, v in c["model"].items() if k.startswith("encoder.")} for c in contents]
    for file, state in zip(files, states):
        check_state(file, state, encoder.state_dict())
    encoder.load_state_dict({
        name: torch.stack([s[name].double() for s in states]).mean(0).to(value.dtype) for name, value in states[-1].items()
    })
    provenance = newest["provenance"]
    provenance["stages"][-1]["averaged_steps"] = [c["step"] for c in contents]
    save_encoder(encoder, out, provenance)
    return provenance


def git_revision() -> str:
    """The commit of the running code, "-dirty" when files differ from it, or "unknown" outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    done = subprocess.run(command, cwd=Path(__file__).resolve().parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def write_text(path: Path, text: str) -> None:
    """Writes a text file under a temporary name, then renames it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
