"""The work of a job, in a process of its own: train, then test the best checkpoint.

A phase that is done is not done again. An interrupted one resumes from its newest checkpoint.
"""

import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import torch

from mmpt.superb.jobs import TAIL_BYTES, Job, read_json
from mmpt.superb.software import software_versions
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.s3prl_runner import arguments, overrides
from mmpt.upstream.s3prl_runner.experiment import best_checkpoint, dev_curve, newest_checkpoint, score
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint
from mmpt.upstream.s3prl_runner.tasks import superb_task
from mmpt.upstream.s3prl_runner.watch import TALLY

LOG_LINES = 12  # of a failed job's log, shown in the error


def work(job: Job, evaluate: bool) -> None:
    """Train, and with `evaluate` test the best checkpoint: what runs in a process of its own, here or on a cluster.

    If another process works at the same job, wait for it.
    """
    with filelock.FileLock(job.folder / "lock"):
        (job.folder / "failed.txt").unlink(missing_ok=True)
        try:
            if not job.trained():
                train(job)
            if evaluate and not job.result():
                evaluate_best(job)
        except BaseException as error:
            write_text(job.folder / "failed.txt", str(error) or type(error).__name__)
            raise


def train(job: Job) -> None:
    """Train or resume; write trained.json: dev curve, best checkpoint, layer weights, what S3PRL dropped."""
    try:
        newest = newest_checkpoint(job.experiment, read_checkpoint)
        values = resumed(job, "train", newest)
    except InputError:  # no checkpoint to resume from
        shutil.rmtree(job.experiment, ignore_errors=True)
        values = job.values()
    run_stock(job, values, "train.log")
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
        "software": software_versions(),
    }
    write_text(job.folder / "trained.json", json.dumps(trained, indent=2) + "\n")


def evaluate_best(job: Job) -> None:
    """Evaluate the best checkpoint, which leaves its predictions in the experiment's folder; write result.json."""
    checkpoint, _ = best_checkpoint(job.experiment, job.task)
    scores = {}
    for split in test_splits(job):
        run_stock(job, resumed(job, "evaluate", checkpoint, evaluate_split=split), "evaluate.log")
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
    """Write SD's predictions of dev to a folder beside the experiment's.

    S3PRL keeps the predictions of `test` alone, so it gets dev under that name. Threshold and median can then be chosen
    on dev; the leaderboard takes those that are best on test.
    """
    shutil.rmtree(job.dev_diarization, ignore_errors=True)
    job.dev_diarization.mkdir()
    changes: dict[str, object] = {
        "config.downstream_expert.loaderrc.test_dir": job.config["downstream_expert"]["loaderrc"]["dev_dir"],
        "args.expdir": str(job.dev_diarization),
    }
    override = overrides.merge(changes, None)  # as literals: a path may hold `=`
    run_stock(job, resumed(job, "evaluate", checkpoint, evaluate_split="test", override=override), "evaluate.log")


def resumed(job: Job, mode: str, checkpoint: Path, **more: object) -> dict:
    """Return the options of run_downstream.py that continue from a checkpoint."""
    return {
        "mode": mode,
        "past_exp": str(checkpoint),
        **more,
        "device": job.options.device,
        **job.cache_values(),
    }


def test_splits(job: Job) -> list[str]:
    """Return the leaderboard's split, and for ASR test-other if the data hold it."""
    task = superb_task(job.task)
    splits = [task.test_split]
    if task.name == "asr":
        tables = Path(job.config["downstream_expert"]["datarc"]["bucket_file"])
        splits += ["test-other"] if (tables / "test-other.csv").is_file() else []
    return splits


def run_stock(job: Job, values: dict, log: str) -> None:
    """Run the stock runner in a process of its own, its output appended to a log in the job's folder.

    Args:
        values: options of run_downstream.py, by the names that its parser gives them.

    Raises:
        InputError: it failed; the message has the end of the log.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.options.threads)}
    command = [sys.executable, "-m", "mmpt.upstream.s3prl_runner.launcher", *arguments.to_argv(values)]
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
            f"{job.name} failed (exit status {status}); the end of {job.folder / log}:\n{end_of_log(job.folder / log)}"
        )


def _end_with_parent() -> None:
    """Have Linux end this process when its parent ends, however that happens (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def end_of_log(log: Path) -> str:
    """Return the last lines of a log, without progress bars."""
    text = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.strip() and "it/s]" not in line and "s/it]" not in line]
    return "\n".join(lines[-LOG_LINES:])
