"""Kill a short training run (SIGKILL) and resume it: how far are its losses and weights from an unbroken run's?

On a GPU two unbroken runs may differ too, since some kernels add in any order. Their difference is the scale.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from mmpt.scripts.benchmark.gpu.check import Check
from mmpt.scripts.benchmark.gpu.clock import Clock
from mmpt.scripts.benchmark.gpu.loop import CLIPS_S
from mmpt.scripts.benchmark.gpu.noise_clips import noise_task
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.training.checkpoints import read_checkpoint
from mmpt.training.distributed import World
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import to_plain
from mmpt.training.trainer import train

STEPS, SAVED_EVERY, KILLED_AFTER = 12, 5, 7
CLIPS = 8  # of an update
PATIENCE_S = 120.0
# The command's module lets a clone find itself, see find_package in it.
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import gpu_check
from mmpt.scripts.benchmark.gpu.resume import run
run(sys.argv[2], sys.argv[3] == "small", Path(sys.argv[4]), resume=False)
"""


def measure(part: str, check: Check) -> Figures:
    """Return how the resumed run differs from an unbroken one, and a second unbroken one from it."""
    folders = {name: check.folder / name for name in ("whole", "again", "killed")}
    run(check.device.type, check.small, folders["whole"], resume=False)
    if not check.small:
        run(check.device.type, check.small, folders["again"], resume=False)
    reached = run_and_kill(check, folders["killed"])
    saved = read_checkpoint(folders["killed"] / "run" / "checkpoints" / "latest.pt")["step"]
    run(check.device.type, check.small, folders["killed"], resume=True)
    figures: Figures = {
        "steps": STEPS,
        "killed_after_step": reached,
        "resumed_at_step": saved,
        "resumed_against_unbroken": differences(folders["killed"], folders["whole"]),
    }
    if not check.small:
        figures["unbroken_against_unbroken"] = differences(folders["again"], folders["whole"])
    return figures


def run(device: str, small: bool, folder: Path, resume: bool) -> None:
    """Train mae+clr on noise with the real trainer, from the start or from where a killed run was saved."""
    check = Check(torch.device(device), small, Clock(PATIENCE_S), folder)
    settings = check.pretraining(
        "mae+clr",
        f"optim.steps={STEPS}",
        "optim.warmup_steps=4",
        f"checkpoint_every={SAVED_EVERY}",
        f"validate_every={STEPS}",
        "log_every=1",
        f"data.batch_size={CLIPS}",
        "video.n_layers=1",  # checkpoints of a few hundred MB
    )
    folder.mkdir(exist_ok=True)
    task = noise_task(settings, folder, 3 * CLIPS + 1, CLIPS_S, small)
    runs = WithoutBoard(folder / "run")
    runs.prepare(to_plain(settings), fresh=False)
    task.start()
    train(task, settings, runs, resume, World())


class WithoutBoard(RunFolder):
    """A run's folder without TensorBoard's record."""

    def open_board(self, step: int) -> None:
        """Take what is meant for TensorBoard, and do nothing with it."""
        self.board = NoBoard()  # type: ignore[assignment]  # has what is called


class NoBoard:
    """In place of TensorBoard's writer."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def run_and_kill(check: Check, folder: Path) -> int:
    """Start the run in a new process, kill it once it has logged a few steps, and return the last step in its log."""
    log, output = folder / "run" / "log.jsonl", folder.with_suffix(".txt")
    arguments = [str(Path(__file__).parents[1]), check.device.type, "small" if check.small else "", str(folder)]
    with output.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=file, stderr=file)
    started = time.monotonic()
    while len(losses(log)) < KILLED_AFTER:
        if process.poll() is not None or time.monotonic() - started > PATIENCE_S:
            process.kill()
            told = " ".join(output.read_text(errors="replace").split()[-40:])
            raise RuntimeError(f"the run to kill ended, or logged too little within {PATIENCE_S:.0f} s: {told}")
        time.sleep(0.005)
    process.kill()
    process.wait()
    return max(losses(log))


def losses(log: Path) -> dict[int, float]:
    """Return the training losses in a log by step; a line that a kill cut off is left out."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return {entry["step"]: entry["loss"] for entry in entries if entry["split"] == "train"}


def differences(folder: Path, reference: Path) -> Figures:
    """Return how far two runs are apart: the largest relative difference of a loss, and that of the weights."""
    ours, theirs = (losses(one / "run" / "log.jsonl") for one in (folder, reference))
    left, right = (read_checkpoint(one / "run" / "checkpoints" / "latest.pt")["model"] for one in (folder, reference))
    square = sum((left[name].double() - right[name].double()).square().sum() for name in right)
    whole = sum(value.double().square().sum() for value in right.values())
    return {
        "same_steps_logged": ours.keys() == theirs.keys(),
        "largest_difference_of_a_loss": max(abs(ours[step] / theirs[step] - 1) for step in ours.keys() & theirs.keys()),
        "difference_of_weights": float((square / whole) ** 0.5),
        "same_bits": all(torch.equal(left[name], right[name]) for name in right),
    }
