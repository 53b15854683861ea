"""A run's folder: its config, log and pictures, and the encoder it leaves. Everything is written whole or not at all.

Imports no library: a command looks at the folder before it loads torch. Training checkpoints are in checkpoints.py.
"""

import json
import math
import typing
from pathlib import Path

from mmpt.training.sole_use import LOCK
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import remove_folder, replacing_folder, write_text

if typing.TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class RunFolder:
    """`config.yaml`, `log.jsonl`, `tensorboard/`, `pictures/`, `checkpoints/` and `encoder.pt`.

    Args:
        path: the folder.
        writes: False on the ranks that leave writing to the main process.
    """

    board: "SummaryWriter"
    lock_file: typing.IO[str]

    def __init__(self, path: Path, writes: bool = True):
        self.path = path
        self.writes = writes
        self.log_file = path / "log.jsonl"
        self.encoder_file = path / "encoder.pt"

    def check(self, resume: bool, fresh: bool) -> None:
        """Raise InputError unless the folder may be used; call it before anything slow begins.

        Raises:
            InputError: the folder holds a run, and neither `resume` nor `fresh` tells what to do with it; it holds no
                run to resume; `fresh` would delete something that is no run.
        """
        if resume and fresh:
            raise InputError("--resume continues a run and --fresh starts again: give one of them")
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            if resume:
                raise InputError(f"{self.path}: no run to resume here; leave --resume out to start one")
        elif not self.path.is_dir() or not self.is_run():
            raise InputError(f"{self.path}: is not empty and not a run folder; name another with --out")
        elif not resume and not fresh:
            raise InputError(
                f"{self.path}: holds a run already: --resume continues it, --fresh starts again, "
                "--out names another folder"
            )

    def is_run(self) -> bool:
        """Return True if a run was started here. --fresh deletes nothing else."""
        return (self.path / "config.yaml").is_file() and (self.path / "checkpoints").is_dir()

    def require_outside(self, path: Path, option: str) -> Path:
        """Return the path that an option gives; InputError if it lies in this folder, which --fresh would delete."""
        if path.resolve().is_relative_to(self.path.resolve()):
            raise InputError(
                f"{path}: {option} lies in the run folder that it would be used for; name another with --out"
            )
        return path

    def prepare(self, config: dict, fresh: bool) -> None:
        """Make the folder with the resolved config, whole or not at all; if `fresh`, delete the run in it first.

        Call `check` before.
        """
        if not self.writes:
            return
        if self.is_run():
            self.lock()
        if fresh:
            remove_folder(self.path)
        if not self.is_run():
            with replacing_folder(self.path) as folder:
                (folder / "checkpoints").mkdir()
                write_config(folder, config)
        self.lock()

    def lock(self) -> None:
        """Hold the folder's lock until this process ends, however it ends.

        It is a lock of POSIX, unlike that of `sole_use`: the processes that read batches would inherit the other kind,
        and they outlive a killed run by seconds, in which it could not be resumed.

        Raises:
            InputError: another process holds it.
        """
        try:
            import fcntl
        except ModuleNotFoundError:  # Windows
            return
        self.lock_file = (self.path / LOCK).open("a")
        try:
            fcntl.lockf(self.lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise InputError(
                f"{self.path}: another process is training here; wait for it or end it, or name another --out"
            ) from None
        except OSError:  # some network file systems have no locks
            pass

    def keep_config(self, config: dict) -> None:
        """Write what changed at a resume, so that the next one need not be told again."""
        if self.writes:
            write_config(self.path, config)

    def open_board(self, step: int) -> None:
        """Open TensorBoard's record; hide what an interrupted run wrote there after `step`."""
        if self.writes:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(self.path / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, split: str, values: dict[str, float]) -> None:
        """Append one line of JSON to log.jsonl, and write the same numbers to TensorBoard."""
        if not self.writes:
            return
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}  # JSON has no NaN
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "split": split, **finite}) + "\n")
        for name, value in values.items():
            self.board.add_scalar(f"{split}/{name}", value, step)

    def cut_log(self, step: int) -> None:
        """Delete log lines of updates after `step`, which will be done again, and a line that a kill cut off."""
        if self.log_file.is_file():
            lines = self.log_file.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
            write_text(self.log_file, "".join(line + "\n" for line in kept))


def write_config(folder: Path, config: dict) -> None:
    """Write config.yaml."""
    import yaml

    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
