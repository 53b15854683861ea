"""The work of a job, in a process of its own: train, then test the best checkpoint, each in a process of its own, too.

A phase that is done is not done again. An interrupted one resumes from its newest checkpoint.
"""

import json
import shutil
from pathlib import Path

import filelock
import torch

from mmpt.superb.jobs import Job, read_json
from mmpt.superb.phases import Start, in_new_process, run_phase
from mmpt.superb.software import software_versions
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.s3prl_runner import overrides
from mmpt.upstream.s3prl_runner.experiment import best_checkpoint, dev_curve, newest_checkpoint, score
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint
from mmpt.upstream.s3prl_runner.tasks import superb_task
from mmpt.upstream.s3prl_runner.watch import TALLY


def work(job: Job, evaluate: bool, start: Start = in_new_process) -> None:
    """Train, and with `evaluate` test the best checkpoint: what runs in a process of its own, here or on a cluster.

    If another process works at the same job, wait for it. `start`: how each phase gets its process.
    """
    with filelock.FileLock(job.folder / "lock"):
        (job.folder / "failed.txt").unlink(missing_ok=True)
        try:
            if not job.trained():
                train(job, start)
            if evaluate and not job.result():
                evaluate_best(job, start)
        except BaseException as error:
            write_text(job.folder / "failed.txt", str(error) or type(error).__name__)
            raise


def train(job: Job, start: Start) -> None:
    """Train or resume; write trained.json: dev curve, best checkpoint, layer weights, what S3PRL dropped."""
    try:
        newest = newest_checkpoint(job.experiment, read_checkpoint)
        values = resumed(job, "train", newest)
    except InputError:  # no checkpoint to resume from
        shutil.rmtree(job.experiment, ignore_errors=True)
        values = job.values()
    run_phase(job, values, "train.log", start)
    checkpoint, is_best = best_checkpoint(job.experiment, job.task)
    content = read_checkpoint(checkpoint)
    curve = dev_curve(job.experiment, job.task)
    by_rate = dev_curve(job.experiment, job.task, superb_task(job.task).rate_score or None)
    trained = {
        "dev_curve": curve,
        "checkpoint": checkpoint.name,
        "checkpoint_step": content["Step"],
        "checkpoint_is_best_on_dev": is_best,
        "dev_score": curve.get(content["Step"]),
        "rate_score": by_rate.get(content["Step"]),
        "steps": job.steps,
        "layer_weights": torch.softmax(content["Featurizer"]["weights"].float(), 0).tolist()
        if "weights" in content["Featurizer"]
        else None,
        "dropped": read_json(job.experiment / TALLY),
        "software": software_versions(),
    }
    write_text(job.folder / "trained.json", json.dumps(trained, indent=2) + "\n")


def evaluate_best(job: Job, start: Start) -> None:
    """Evaluate the best checkpoint, which leaves its predictions in the experiment's folder; write result.json."""
    checkpoint, _ = best_checkpoint(job.experiment, job.task)
    scores = {}
    for split in test_splits(job):
        run_phase(job, resumed(job, "evaluate", checkpoint, evaluate_split=split), "evaluate.log", start)
        scores[split] = score(job.experiment, job.task, split)
    if job.task == "sd":
        predict_dev(job, checkpoint, start)
    tally = read_json(job.experiment / TALLY) or {}
    result = {
        "scores": scores,
        "unalignable": tally.get("ctc", {}),
        "prediction_of_step": read_checkpoint(checkpoint)["Step"],
    }
    write_text(job.folder / "result.json", json.dumps(result, indent=2) + "\n")


def predict_dev(job: Job, checkpoint: Path, start: Start) -> None:
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
    values = resumed(job, "evaluate", checkpoint, evaluate_split="test", override=override)
    run_phase(job, values, "evaluate.log", start)


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
