"""The learning rate, chosen by the development score; means and spreads of what it scored on test."""

from collections.abc import Callable, Hashable
from statistics import fmean, stdev

from mmpt.superb.jobs import Job
from mmpt.upstream.s3prl_runner.tasks import superb_task


def choose(jobs: list[Job]) -> list[Job]:
    """Return, for each task and encoder, the jobs of the learning rate that is best on dev, by the mean over seeds.

    ASR counts characters and word ends; else the score is the one by which S3PRL chooses the best checkpoint. Test has
    no part in it. Jobs that are not trained are left out, and a rate with fewer trained seeds than another cannot win.
    """
    chosen = []
    for group in grouped(jobs, lambda job: (job.task, job.encoder.name)):
        rates = [[job for job in rate if job.trained()] for rate in grouped(group, lambda job: job.lr)]
        most = max(map(len, rates))
        if most:
            best = max if superb_task(group[0].task).higher_is_better else min
            winner: list[Job] = best([rate for rate in rates if len(rate) == most], key=mean_rate_score)
            chosen += winner
    return chosen


def dev_score(job: Job) -> float:
    """Return the dev score of a trained job's checkpoint; the worst possible if S3PRL measured none at its step."""
    trained = job.trained() or {}
    worst = 0.0 if superb_task(job.task).higher_is_better else float("inf")
    return worst if trained["dev_score"] is None else trained["dev_score"]


def rate_score(job: Job) -> float:
    """Return the dev score by which a trained job's learning rate competes. Older runs have `dev_score` alone."""
    found = (job.trained() or {}).get("rate_score")
    return dev_score(job) if found is None else found


def was_measured(job: Job) -> bool:
    """Return True if S3PRL measured dev at the step of a trained job's checkpoint."""
    return (job.trained() or {}).get("dev_score") is not None


def mean_rate_score(jobs: list[Job]) -> float:
    """Return the mean over seeds."""
    return fmean(map(rate_score, jobs))


def summaries(chosen: list[Job]) -> list[dict]:
    """Return one entry for each task, encoder and test split, over the seeds.

    Each metric has its mean, its standard deviation (None for one seed) and its values.
    """
    entries = []
    for group in grouped([job for job in chosen if job.result()], lambda job: (job.task, job.encoder.name)):
        results = [job.result() or {} for job in group]
        for split in results[0]["scores"]:
            scores = [result["scores"][split] for result in results]
            entry = {
                "task": group[0].task,
                "encoder": group[0].encoder.name,
                "split": split,
                "lr": group[0].config["optimizer"]["lr"],
                "seeds": [job.seed for job in group],
                "utterances": scores[0]["utterances"],
                "best_on_dev": all((job.trained() or {})["checkpoint_is_best_on_dev"] for job in group),
            }
            for metric in scores[0].keys() - {"utterances"}:
                values = [score[metric] for score in scores]
                spread = stdev(values) if len(values) > 1 else None
                entry[metric] = {"mean": fmean(values), "std": spread, "values": values}
            entries.append(entry)
    return entries


def grouped(jobs: list[Job], key: Callable[[Job], Hashable]) -> list[list[Job]]:
    """Return jobs of equal `key` together, in order of first appearance."""
    groups: dict[Hashable, list[Job]] = {}
    for job in jobs:
        groups.setdefault(key(job), []).append(job)
    return list(groups.values())
