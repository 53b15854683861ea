"""The training checkpoints of a run, and the encoder that is exported from them."""

from collections.abc import Callable
from pathlib import Path

import torch

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import replacing
from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig, save_encoder
from mmpt.upstream.mmpt_av.balance import balance
from mmpt.upstream.mmpt_av.checkpoint import check_state, read_plain, write_atomically

FORMAT = "mmpt_av_training"
VERSION = 3


class Checkpoints:
    """The folder `checkpoints/` of a run, and links to two of them, `latest.pt` and `best.pt`.

    It holds the last `keep` of the schedule and those that the exported mean is taken of.

    Args:
        run: the run folder.
        keep: the run's setting `keep_checkpoints`.
        patience: the run's setting.
    """

    def __init__(self, run: Path, keep: int = 1, patience: int = 0):
        self.run, self.keep, self.patience = run, keep, patience
        self.path = run / "checkpoints"

    def scheduled(self) -> list[Path]:
        """Return the checkpoints of the schedule, oldest first."""
        return sorted(self.path.glob("step_*.pt"))

    def extra(self) -> list[Path]:
        """Return those off the schedule: the best one, or one where a run was stopped."""
        return list(self.path.glob("extra_*.pt"))

    def averaged(self) -> list[Path]:
        """Return the checkpoints that the mean is taken of, oldest first: the last `keep` of the schedule.

        A run with patience ends some validations after its best one. There they are the last `keep` up to the best
        checkpoint, which counts even if it is off the schedule. fairseq's average_checkpoints.py does the same with
        --num-epoch-checkpoints and --checkpoint-upper-bound.

        A checkpoint where a run was stopped is no part of the mean: an interrupted run then leaves the same encoder as
        an unbroken one.
        """
        scheduled, best = self.scheduled(), self.path / "best.pt"
        if not self.patience or not best.is_file():
            return scheduled[-self.keep :]
        best = best.resolve()
        return [*(file for file in scheduled if step_of(file) < step_of(best)), best][-self.keep :]

    def save(self, step: int, content: dict, is_best: bool, is_scheduled: bool) -> None:
        """Write a checkpoint, move `latest` (and `best`) to it, and delete those that are no longer needed.

        Needed are the last `keep` of the schedule, since the next one may be the best, and the averaged ones.
        """
        file = self.path / (f"step_{step:08d}.pt" if is_scheduled else f"extra_{step:08d}.pt")
        write_atomically({"format": FORMAT, "version": VERSION, "step": step, **content}, file)
        for name in ("latest", "best") if is_best else ("latest",):
            self.link(name, file)
        linked = {(self.path / f"{name}.pt").resolve() for name in ("best", "latest")}
        needed = linked | {old.resolve() for old in [*self.scheduled()[-self.keep :], *self.averaged()]}
        for old in [*self.scheduled(), *self.extra()]:
            if old.resolve() not in needed:
                old.unlink()

    def link(self, name: str, file: Path) -> None:
        """Point the link `latest` or `best` at a checkpoint."""
        with replacing(self.path / f"{name}.pt") as temporary:
            temporary.symlink_to(file.name)

    def load_latest(self) -> dict | None:
        """Return the newest whole checkpoint, or None if the run has written none yet.

        Raises:
            InputError: there are some, but none can be read.
        """
        found = [*self.scheduled(), *self.extra()]
        for file in sorted(found, key=step_of, reverse=True):
            try:
                return read_checkpoint(file)
            except CheckpointError as error:
                print(f"{error}; trying the one before it")
        if found:
            raise InputError(
                f"{self.run}: none of its {len(found)} checkpoints can be read by this version; --fresh starts again"
            )
        return None

    def repair(self, step: int, is_best: bool) -> None:
        """Clear what an interruption after the checkpoint of `step` left: files half written, `best` not moved yet."""
        for half_written in self.path.glob(".*"):
            half_written.unlink()
        if is_best:
            files = [self.path / f"{kind}_{step:08d}.pt" for kind in ("step", "extra")]
            self.link("best", next(file for file in files if file.is_file()))

    def select(self, export: str) -> list[Path]:
        """Return the checkpoints that an encoder is exported from: the "last", the "best", or those of the "average".

        Raises:
            InputError: the run has written none yet.
        """
        files = {"last": self.scheduled()[-1:], "average": self.averaged(), "best": [self.path / "best.pt"]}
        if not files[export] or not files[export][0].is_file():
            why = "no validation has had a finite loss yet" if self.scheduled() else "has the run been trained?"
            raise InputError(f"{self.run}: no checkpoint for `{export}` here; {why}")
        return files[export]


def step_of(file: Path) -> int:
    """Return the step that a checkpoint's name has."""
    return int(file.stem.split("_")[1])


def read_checkpoint(path: Path) -> dict:
    """Return the content of a training checkpoint.

    Raises:
        CheckpointError: the file is damaged, or is something else.
    """
    content = read_plain(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(path, "is not a training checkpoint of this project")
    if content.get("version") != VERSION:
        raise CheckpointError(path, f"has version {content.get('version')!r}; this code reads version {VERSION}")
    return content


def export_encoder(
    files: list[Path],
    out: Path,
    frame_hop: int | None = None,
    finish: Callable[[Encoder], dict[str, str]] | None = None,
    half: bool = False,
) -> dict:
    """Write the encoder of a training checkpoint, or the mean of several, and return its provenance.

    Its first state is scaled to the size of the others (`balance`).

    Args:
        files: training checkpoints, the newest last.
        out: the encoder checkpoint to write.
        frame_hop: see EncoderConfig; None leaves it as it was in training.
        finish: changes the encoder before it is written, and returns what the provenance says about that.
        half: see save_encoder.
    """
    contents = [read_checkpoint(file) for file in files]
    newest = contents[-1]
    encoder = Encoder(EncoderConfig.from_dict(newest["encoder_config"]))
    states = [
        {k.removeprefix("encoder."): v for k, v in c["model"].items() if k.startswith("encoder.")} for c in contents
    ]
    for file, state in zip(files, states):
        check_state(file, state, encoder.state_dict())
    encoder.load_state_dict(average_weights(states))
    encoder.hop = frame_hop or encoder.hop
    provenance = newest["provenance"]
    provenance["stages"][-1]["averaged_steps"] = [c["step"] for c in contents]
    if finish is not None:
        provenance["stages"][-1] |= finish(encoder)
    provenance["stages"][-1]["first_state_scaled"] = balance(encoder)
    save_encoder(encoder, out, provenance, half)
    return provenance


def average_weights(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the mean of weights of the same names and shapes."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in states[-1].items()
    }
