"""The work of a job, in a process of its own: train, or go on; score the best checkpoint.

A phase that is done is not done again, and one that was broken off goes on from its newest checkpoint.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch

from mmpt.superb.jobs import TAIL_BYTES, Job, read_json
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.repository import git_revision
from mmpt.upstream.s3prl_runner.experiment import best_checkpoint, dev_curve, newest_checkpoint, score
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint
from mmpt.upstream.s3prl_runner.tasks import find_task
from mmpt.upstream.s3prl_runner.watch import TALLY

LAST_WORDS = 12  # lines of a failed job's log that are shown
SOFTWARE = ("torch", "torchaudio", "s3prl", "mmpt-av")


def work(job: Job, evaluate: bool) -> None:
    """Trains, and with `evaluate` scores the best checkpoint on test: what runs in a process of its own, here or on a cluster.

    Another process that is at the same job is waited for.
    """
    with _alone(job.folder):
        (job.folder / "failed.txt").unlink(missing_ok=True)
        try:
            if not job.trained():
                train(job)
            if evaluate and not job.result():
                score_best(job)
        except BaseException as error:
            write_text(job.folder / "failed.txt", str(error) or type(error).__name__)
            raise


def train(job: Job) -> None:
    """Trains or goes on, and writes trained.json: dev curve, best checkpoint, layer weights, what was dropped."""
    argv = job.argv()
    try:
        newest = newest_checkpoint(job.experiment, read_checkpoint)
        argv = ["-m", "train", "-e", str(newest), "--device", job.options.device, *job.cache_argv()]
    except InputError:  # nothing to go on from
        shutil.rmtree(job.experiment, ignore_errors=True)
    run_stock(job, argv, "train.log")
    checkpoint, is_best = best_checkpoint(job.experiment, job.task)
    content = read_checkpoint(checkpoint)
    curve = dev_curve(job.experiment, job.task)
    trained = {
        "dev_curve": curve,
        "checkpoint": checkpoint.name,
        "checkpoint_step": content["Step"],
        "checkpoint_is_best_on_dev": is_best,
        "dev_score": curve.get(content["Step"]),
        "steps": job.steps,
        "layer_weights": torch.softmax(content["Featurizer"]["weights"].float(), 0).tolist()
        if "weights" in content["Featurizer"]
        else None,
        "dropped": read_json(job.experiment / TALLY),
        "software": software(),
    }
    write_text(job.folder / "trained.json", json.dumps(trained, indent=2) + "\n")


def score_best(job: Job) -> None:
    """Evaluates the best checkpoint, whose predictions then lie in the experiment's folder, and writes result.json."""
    checkpoint, _ = best_checkpoint(job.experiment, job.task)
    scores = {}
    for split in test_splits(job):
        run_stock(
            job,
            ["-m", "evaluate", "-e", str(checkpoint), "-t", split, "--device", job.options.device, *job.cache_argv()],
            "evaluate.log",
        )
        scores[split] = score(job.experiment, job.task, split)
    if job.task == "sd":
        predict_dev(job, checkpoint)
    tally = read_json(job.experiment / TALLY) or {}
    result = {
        "scores": scores,
        "unalignable": tally.get("ctc", {}),
        "prediction_of_step": read_checkpoint(checkpoint)["Step"],
    }
    write_text(job.folder / "result.json", json.dumps(result, indent=2) + "\n")


def predict_dev(job: Job, checkpoint: Path) -> None:
    """SD's predictions of dev, in a folder beside the experiment's: S3PRL keeps those of `test` alone, so dev is given to it as that.

    Threshold and median are chosen on them; the leaderboard takes those that are best on test.
    """
    shutil.rmtree(job.dev_diarization, ignore_errors=True)
    job.dev_diarization.mkdir()
    changes = {
        "config.downstream_expert.loaderrc.test_dir": job.config["downstream_expert"]["loaderrc"]["dev_dir"],
        "args.expdir": job.dev_diarization,
    }
    override = ",,".join(f"{key}={value}" for key, value in changes.items())
    run_stock(
        job,
        [
            "-m",
            "evaluate",
            "-e",
            str(checkpoint),
            "-t",
            "test",
            "-o",
            override,
            "--device",
            job.options.device,
            *job.cache_argv(),
        ],
        "evaluate.log",
    )


def test_splits(job: Job) -> list[str]:
    """The leaderboard's split, and for ASR test-other where it is there."""
    task = find_task(job.task)
    splits = [task.test_split]
    if (
        task.name == "asr"
        and Path(job.config["downstream_expert"]["datarc"]["bucket_file"], "test-other.csv").is_file()
    ):
        splits.append("test-other")
    return splits


def software() -> dict[str, str]:
    """What results are made with."""
    return {name: version(name) for name in SOFTWARE} | {
        "python": platform.python_version(),
        "revision": git_revision(),
    }


def run_stock(job: Job, argv: list[str], log: str) -> None:
    """The stock runner in a process of its own, its output added to a log in the job's folder.

    Raises:
        InputError: it failed; the message has the end of the log.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.options.threads)}
    command = [sys.executable, "-m", "mmpt.upstream.s3prl_runner.launcher", *argv]
    with (job.folder / log).open("ab") as file:
        file.write(f"\n$ {shlex.join(command)}\n".encode())
        file.flush()
        status = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=_end_with_parent,
            check=False,
        ).returncode
    if status:
        raise InputError(
            f"{job.name} failed (exit status {status}); the end of {job.folder / log}:\n{last_words(job.folder / log)}"
        )


def _end_with_parent() -> None:
    """Has Linux end this process when the one that started it ends, however that happens (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def last_words(log: Path) -> str:
    """The last lines of a log, without progress bars."""
    text = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.strip() and "it/s]" not in line and "s/it]" not in line]
    return "\n".join(lines[-LAST_WORDS:])


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it ends."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
