"""Kill a training run again and again (SIGKILL), resume it each time, and compare the result with an unbroken run's.

Model, optimiser, encoder, best checkpoint and log must have the same bits and lines. The run is on the CPU with one
thread a process, where training repeats exactly. Each step is logged: means over several would begin anew at a resume.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import remove_folder
from mmpt.upstream.output import check_output
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
  python scripts/drill_resume.py                              ten kills of a short mae+clr run, some minutes
  python scripts/drill_resume.py --objective translation      the same for stage 2
  python scripts/drill_resume.py --kills 3 --steps 20 --processes 2

Without --data the runs use the sample clips or sentences.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--objective",
        default="mae+clr",
        choices=["clr", "mae", "mae+clr", TRANSLATION],
        help="what the run trains (default: %(default)s)",
    )
    p.add_argument("--data", type=Path, metavar="DATA", help="clips, or MuST-C with Italian (default: the samples)")
    p.add_argument("--kills", type=int, default=10, help="number of kills (default: %(default)s)")
    p.add_argument("--steps", type=int, default=44, help="updates of the run (default: %(default)s)")
    p.add_argument(
        "--processes",
        type=int,
        default=1,
        help="processes of the run; several run under torchrun (default: %(default)s)",
    )
    p.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills (default: %(default)s)")
    p.add_argument(
        "--out", type=Path, default=Path("runs/drill"), metavar="DIR", help="folder of both runs (default: %(default)s)"
    )
    p.add_argument("--fresh", action="store_true", help="delete DIR if it exists")
    return p


def command(arguments: argparse.Namespace, out: Path) -> list[str]:
    """Return the command of a short training run into `out`."""
    start = [sys.executable]
    if arguments.processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={arguments.processes}"]
    stage = "midtrain" if arguments.objective == TRANSLATION else "pretrain"
    what = ["--target-lang", "it"] if stage == "midtrain" else ["--objective", arguments.objective]
    data = ["--data", str(arguments.data)] if arguments.data else []
    config = ["--config", str(REPOSITORY / stage / "configs" / "samples.yaml")]
    settings = [*SMALL[stage], f"optim.steps={arguments.steps}"]
    return [*start, str(REPOSITORY / stage / "run.py"), *what, *data, *config, "--out", str(out), *settings]


def run_to_the_end(words: list[str]) -> None:
    """Run a command.

    Raises:
        InputError: it failed; the message has the end of its error output.
    """
    result = subprocess.run(words, env=environment(), capture_output=True, text=True)
    if result.returncode:
        raise InputError(f"a run failed: {' '.join(result.stderr.split()[-60:])}")


def environment() -> dict[str, str]:
    """Return an environment with one thread a process: several would not always add in the same order."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def logged_step(out: Path) -> int:
    """Return the last step in a run's log, 0 if it has none."""
    log = out / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def children(process: int) -> Iterator[int]:
    """Yield all descendants of a process: torchrun gives each rank a session of its own."""
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found = file.read_text()
        except OSError:  # it has just ended
            continue
        for child in map(int, found.split()):
            yield from (child, *children(child))


def kill_after(words: list[str], out: Path, step: int, delay_s: float) -> int:
    """Start a run, wait until it has logged `step` and `delay_s` more, kill it; return the last step in its log.

    Whatever happens, nothing of the run goes on.

    Raises:
        InputError: the run ended before, or takes too long.
    """
    process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    try:
        while logged_step(out) < step and process.poll() is None:
            if time.monotonic() - started > PATIENCE_S:
                raise InputError(f"{out}: no step {step} within {PATIENCE_S} s")
            time.sleep(0.02)
        time.sleep(delay_s)
        if process.poll() is not None:
            raise InputError(
                f"{out}: the run ended (status {process.returncode}) before it could be killed after step {step}; "
                "try more --steps"
            )
    finally:
        kill(process)
    return logged_step(out)


def kill(process: subprocess.Popen) -> None:
    """Kill a process with its descendants, those that are still there."""
    if process.poll() is None:
        for one in [*children(process.pid), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
    process.wait()


def seconds_a_step(out: Path) -> float:
    """Return the median time of a finished run's steps."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return 1 / statistics.median(line["steps_per_s"] for line in lines if line["split"] == "train")


def differences(ours: Path, reference: Path) -> list[str]:
    """Name what differs between two runs."""
    from mmpt.training.checkpoints import read_checkpoint
    from mmpt.upstream.mmpt_av import load_encoder

    found = []
    for name in ("latest", "best"):
        left, right = (read_checkpoint(folder / "checkpoints" / f"{name}.pt") for folder in (ours, reference))
        found += [
            f"{name}.pt: {key}"
            for key in ("step", "epoch", "position", "best", "model", "optimizer", "random")
            if not same(left[key], right[key])
        ]
    one, other = (load_encoder(folder / "encoder.pt") for folder in (ours, reference))
    found += [] if same(one.state_dict(), other.state_dict()) else ["encoder.pt"]
    logs = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        for folder in (ours, reference)
    ]
    logs = [[{key: value for key, value in line.items() if key not in TIMING} for line in log] for log in logs]
    return found + ([] if logs[0] == logs[1] else ["log.jsonl"])


def same(one: object, other: object) -> bool:
    """Return True if two nested values are equal bit for bit."""
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the drill; return the exit status, 1 if the runs differ."""
    arguments = parser().parse_args(argv)
    if arguments.kills < 1 or arguments.steps < arguments.kills + 1:
        raise InputError(f"--kills {arguments.kills} needs at least one, and more --steps than kills")
    out = check_output(arguments.out, "runs/drill")
    whole, broken = out / "unbroken", out / "killed"
    if out.exists():
        if not out.is_dir() or not {whole, broken}.issuperset(out.iterdir()):
            raise InputError(f"{out}: is no folder of a drill; give another --out")
        if not arguments.fresh:
            raise InputError(f"{out}: is there already; --fresh deletes it")
        remove_folder(out)
    print(f"Unbroken run of {arguments.steps} steps ...", flush=True)
    run_to_the_end(command(arguments, whole))
    moments, step_s = random.Random(arguments.seed), seconds_a_step(whole)
    for kill in range(1, arguments.kills + 1):
        words = command(arguments, broken) + (["--resume"] if broken.exists() else [])
        # The first kill comes before any checkpoint, the others are spread over the run. The delay puts them within a
        # step, a validation or the writing of a checkpoint.
        step = 1 if kill == 1 else kill * arguments.steps // (arguments.kills + 1)
        delay_s = moments.uniform(0.0, 1.0) * step_s
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
