"""The learning rate by dev, and what a run of SUPERB jobs ends with: results.json and a table."""

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev

from mmpt.superb.jobs import Encoder, Job, read_json
from mmpt.superb.worker import software
from mmpt.upstream.files import write_text
from mmpt.upstream.s3prl_runner.tasks import find_task

ARROWS = {"acc": "↑", "per": "↓", "der": "↓", "wer": "↓"}
SMOKE = "SMOKE RUN: other step counts or settings than the task's own; the figures compare with nothing published."


def choose(jobs: list[Job]) -> list[Job]:
    """For each task and encoder the jobs of the learning rate that is best on dev, by the mean over seeds.

    The score is the one that S3PRL chooses the best checkpoint by; test has no part in it. Jobs that are not
    trained are left out; a rate is judged by the seeds that are.
    """
    chosen = []
    for group in _grouped(jobs, lambda job: (job.task, job.encoder.name)):
        rates = [[job for job in rate if job.trained()] for rate in _grouped(group, lambda job: job.lr)]
        rates = [rate for rate in rates if rate]
        if rates:
            most = max(len(rate) for rate in rates)
            sign = 1 if find_task(group[0].task).higher_is_better else -1
            chosen += max(
                (rate for rate in rates if len(rate) == most),
                key=lambda rate: sign * fmean(dev_score(job) for job in rate),
            )
    return chosen


def dev_score(job: Job) -> float:
    """Dev score of the checkpoint that would be tested; the worst there is where S3PRL measured none at its step."""
    score = job.trained()["dev_score"]
    worst = 0.0 if find_task(job.task).higher_is_better else float("inf")
    return worst if score is None else score


def summaries(chosen: list[Job]) -> list[dict]:
    """One entry for each task, encoder and test split: each metric's mean, standard deviation (None of one seed), values."""
    entries = []
    for group in _grouped([job for job in chosen if job.result()], lambda job: (job.task, job.encoder.name)):
        for split in group[0].result()["scores"]:
            scores = [job.result()["scores"][split] for job in group]
            entry = {
                "task": group[0].task,
                "encoder": group[0].encoder.name,
                "split": split,
                "lr": group[0].config["optimizer"]["lr"],
                "seeds": [job.seed for job in group],
                "utterances": scores[0]["utterances"],
                "best_on_dev": all(job.trained()["checkpoint_is_best_on_dev"] for job in group),
            }
            for metric in scores[0].keys() - {"utterances"}:
                values = [score[metric] for score in scores]
                entry[metric] = {
                    "mean": fmean(values),
                    "std": stdev(values) if len(values) > 1 else None,
                    "values": values,
                }
            entries.append(entry)
    return entries


def write_results(jobs: list[Job], chosen: list[Job], file: Path, command: str, notes: list[str]) -> dict:
    """Writes results.json and returns its content.

    Args:
        command: that made it. notes: what a reader must know before comparing.
    """
    encoders = {job.encoder: None for job in jobs}
    costs = {
        entry["sha256"]: entry["cost"] for entry in (read_json(file) or {}).get("encoders", []) if entry.get("cost")
    }  # an encoder's stays
    content = {
        "notes": notes,
        "command": command,
        "software": software(),
        "encoders": [_about(encoder, costs) for encoder in encoders],
        "summary": summaries(chosen),
        "jobs": [_entry(job, job in chosen) for job in jobs],
    }
    write_text(file, json.dumps(content, indent=2) + "\n")
    return content


def table(content: dict, tasks: list[str], encoders: Iterable[Encoder]) -> str:
    """Encoder × task, in per cent: mean ± standard deviation over the seeds."""
    rows, heads = [], ["test, %"]
    splits = [(task, split, find_task(task).metric) for task in tasks for split in _splits(content, task)]
    for task, split, metric in splits:
        heads.append(
            f"{task.upper()}{'' if split == 'test' else ' ' + split.removeprefix('test-')} {metric} {ARROWS[metric]}"
        )
    by_key = {(entry["task"], entry["encoder"], entry["split"]): entry for entry in content["summary"]}
    for encoder in encoders:
        cells = [encoder.name]
        for task, split, metric in splits:
            cells.append(_cell(by_key.get((task, encoder.name, split)), metric))
        rows.append(cells)
    return markdown([heads, *rows])


def rates_table(jobs: list[Job], chosen: list[Job]) -> str:
    """Task and encoder × learning rate: the mean dev score over seeds, and which rate was taken."""
    rows = [["dev, %", *dict.fromkeys(job.lr for job in jobs)]]
    for task, encoder in dict.fromkeys((job.task, job.encoder) for job in jobs):
        cells = [f"{task} {encoder.name}"]
        for rate in rows[0][1:]:
            group = [job for job in jobs if (job.task, job.encoder, job.lr) == (task, encoder, rate) and job.trained()]
            taken = " <" if any(job in chosen for job in group) else ""
            cells.append(f"{100 * fmean(dev_score(job) for job in group):.1f}{taken}" if group else "-")
        rows.append(cells)
    return markdown(rows)


def markdown(rows: list[list[str]]) -> str:
    """A Markdown table whose columns line up in a terminal, too."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _cell(entry: dict | None, metric: str) -> str:
    if entry is None:
        return "-"
    figure = entry[metric]
    spread = "" if figure["std"] is None else f" ± {100 * figure['std']:.1f}"
    return f"{100 * figure['mean']:.1f}{spread}{'' if entry['best_on_dev'] else ' *'}"


def _splits(content: dict, task: str) -> list[str]:
    found = dict.fromkeys(entry["split"] for entry in content["summary"] if entry["task"] == task)
    return list(found) or [find_task(task).test_split]


def _about(encoder: Encoder, costs: dict[str, dict]) -> dict:
    """Which encoder it was, and where its weights come from; its cost where it was measured before."""
    file = encoder.checkpoint
    known = {"cost": costs[encoder.identity]} if encoder.identity in costs else {}
    return {
        "name": encoder.name,
        "upstream": encoder.upstream,
        "checkpoint": file and str(file),
        "sha256": file and encoder.identity,
        "provenance": encoder.provenance(),
        **known,
    }


def _entry(job: Job, is_chosen: bool) -> dict:
    """All that is known of one job."""
    trained, result = job.trained() or {}, job.result() or {}
    state = "evaluated" if result else "failed" if job.failure() else "trained" if trained else "not done"
    return {
        "task": job.task,
        "encoder": job.encoder.name,
        "lr": job.config["optimizer"]["lr"],
        "seed": job.seed,
        "state": state,
        "chosen": is_chosen,
        "smoke": job.is_smoke,
        "changed": job.changed,
        "fine_tuned": job.options.fine_tune,
        **trained,
        **result,
        "failure": job.failure(),
        "folder": str(job.folder),
        "command": job.command(),
    }


def _grouped(jobs: list[Job], key) -> list[list[Job]]:
    """Jobs of equal `key` together, in order of first appearance."""
    groups: dict = {}
    for job in jobs:
        groups.setdefault(key(job), []).append(job)
    return list(groups.values())
