"""Kills a training run of stage 1 or 2 (SIGKILL) again and again, resumes it each time, and compares what is left with an unbroken run's:
model, optimiser, encoder, best checkpoint and log must have the same bits and lines. On a CPU with one thread a process, where
training repeats exactly. Each step is logged: means over several steps would begin anew at a resume.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from mmpt.training.checkpoints import read_checkpoint
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import load_encoder
from mmpt.upstream.repository import REPOSITORY

SMALL = {  # runs that are short, and save and validate often
    "pretrain": (
        "device=cpu",
        "data.workers=0",
        "data.memory_gb=0",
        "data.batch_size=8",
        "data.dev_clips=16",
        "video.size=32",
        "video.n_layers=1",
        "log_every=1",
        "checkpoint_every=2",
        "validate_every=7",
    ),
    "midtrain": (
        "device=cpu",
        "freeze_encoder_steps=9",
        "optim.warmup_steps=5",
        "log_every=1",
        "checkpoint_every=2",
        "validate_every=7",
    ),
}
TRANSLATION = "translation"  # the objective of stage 2
TIMING = ("clips_per_s", "frames_per_s", "steps_per_s", "data_wait_percent")  # what may differ between two runs
PATIENCE_S = 600

EXAMPLES = """\
examples:
  python scripts/drill_resume.py                                  ten kills of a short mae+clr run on the sample clips, some minutes
  python scripts/drill_resume.py --objective translation          the same of stage 2, on the sample sentences
  python scripts/drill_resume.py --kills 3 --steps 20 --processes 2   a run of two processes
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--objective",
        default="mae+clr",
        choices=["clr", "mae", "mae+clr", TRANSLATION],
        help="of the run (default: %(default)s)",
    )
    p.add_argument("--data", type=Path, metavar="DATA", help="clips, or MuST-C with Italian (default: the samples)")
    p.add_argument("--kills", type=int, default=10, help="how often (default: %(default)s)")
    p.add_argument("--steps", type=int, default=44, help="updates of the run (default: %(default)s)")
    p.add_argument(
        "--processes", type=int, default=1, help="of the run, under torchrun if more than one (default: %(default)s)"
    )
    p.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    p.add_argument(
        "--out", type=Path, default=Path("runs/drill"), metavar="DIR", help="for both runs (default: %(default)s)"
    )
    p.add_argument("--fresh", action="store_true", help="delete DIR if it is there")
    return p


def command(arguments: argparse.Namespace, out: Path) -> list[str]:
    """A short training run into `out`."""
    start = [sys.executable]
    if arguments.processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={arguments.processes}"]
    data = ["--data", str(arguments.data)] if arguments.data else []
    stage, what = (
        ("midtrain", ["--target-lang", "it"])
        if arguments.objective == TRANSLATION
        else ("pretrain", ["--objective", arguments.objective])
    )
    return [
        *start,
        str(REPOSITORY / stage / "run.py"),
        *what,
        *data,
        "--config",
        str(REPOSITORY / stage / "configs/samples.yaml"),
        "--out",
        str(out),
        *SMALL[stage],
        f"optim.steps={arguments.steps}",
    ]


def run_to_the_end(words: list[str]) -> None:
    """Runs a command; InputError with the end of what it said if it fails."""
    result = subprocess.run(words, env=environment(), capture_output=True, text=True)
    if result.returncode:
        raise InputError(f"a run failed: {' '.join(result.stderr.split()[-60:])}")


def environment() -> dict[str, str]:
    """One thread for each process: the sums of several would not always be taken in one order."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def logged_step(out: Path) -> int:
    """The last step in a run's log, 0 before there is one."""
    log = out / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def children(process: int) -> Iterator[int]:
    """All processes that a process has started, and they: torchrun gives each rank a session of its own."""
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            yield from (child, *children(child))


def kill_after(words: list[str], out: Path, step: int, delay_s: float) -> int:
    """Starts a run, waits until it has logged `step`, and `delay_s` more; kills it and returns the step it had logged by then.

    Raises:
        InputError: the run ended before.
    """
    process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    while logged_step(out) < step and process.poll() is None:
        if time.monotonic() - started > PATIENCE_S:
            raise InputError(f"{out}: no step {step} within {PATIENCE_S} s")
        time.sleep(0.02)
    time.sleep(delay_s)
    if process.poll() is not None:
        raise InputError(
            f"{out}: the run ended (status {process.returncode}) before it could be killed after step {step}; try more --steps"
        )
    for one in [*children(process.pid), process.pid]:
        os.kill(one, signal.SIGKILL)
    process.wait()
    return logged_step(out)


def seconds_a_step(out: Path) -> float:
    """How long a step of a finished run took, by the median."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return 1 / statistics.median(line["steps_per_s"] for line in lines if line["split"] == "train")


def differences(ours: Path, reference: Path) -> list[str]:
    """What of two runs is not the same."""
    found = []
    for name in ("latest", "best"):
        one, other = (read_checkpoint(folder / "checkpoints" / f"{name}.pt") for folder in (ours, reference))
        found += [
            f"{name}.pt: {key}"
            for key in ("step", "epoch", "position", "best", "model", "optimizer", "random")
            if not same(one[key], other[key])
        ]
    one, other = (load_encoder(folder / "encoder.pt") for folder in (ours, reference))
    found += [] if same(one.state_dict(), other.state_dict()) else ["encoder.pt"]
    logs = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        for folder in (ours, reference)
    ]
    logs = [[{key: value for key, value in line.items() if key not in TIMING} for line in log] for log in logs]
    return found + ([] if logs[0] == logs[1] else ["log.jsonl"])


def same(one, other) -> bool:
    """Whether two nested values are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs the drill; returns the exit status, 1 if the runs differ."""
    arguments = parser().parse_args(argv)
    if arguments.kills < 1 or arguments.steps < arguments.kills + 1:
        raise InputError(f"--kills {arguments.kills} needs at least one, and more --steps than kills")
    if arguments.out.exists():
        if not arguments.fresh:
            raise InputError(f"{arguments.out}: is there already; --fresh deletes it")
        shutil.rmtree(arguments.out)
    whole, broken = arguments.out / "unbroken", arguments.out / "killed"
    print(f"Unbroken run of {arguments.steps} steps ...", flush=True)
    run_to_the_end(command(arguments, whole))
    moments, step_s = random.Random(arguments.seed), seconds_a_step(whole)
    for kill in range(1, arguments.kills + 1):
        words = command(arguments, broken) + (["--resume"] if broken.exists() else [])
        # The first before there is a checkpoint, the others spread over the run; by the delay in a step, a validation or a checkpoint.
        step, delay_s = (
            1 if kill == 1 else kill * arguments.steps // (arguments.kills + 1),
            moments.uniform(0.0, 1.0) * step_s,
        )
        reached = kill_after(words, broken, step, delay_s)
        print(f"kill {kill}: {delay_s:.2f} s after step {step}, had logged {reached}", flush=True)
    run_to_the_end([*command(arguments, broken), "--resume"])
    found = differences(broken, whole)
    print(
        "The killed run differs: " + ", ".join(found)
        if found
        else f"{arguments.kills} kills: the same bits and the same log as the unbroken run"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
