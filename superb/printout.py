"""What a SUPERB run prints: tables that line up in a terminal, and the lines around them."""

from collections.abc import Iterable

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.jobs import Job
from mmpt.superb.options import Options
from mmpt.superb.results import unalignable
from mmpt.superb.selection import dev_score, mean_dev_score
from mmpt.superb.text_table import ARROWS, NO_BEST, text_table
from mmpt.upstream.s3prl_runner.tasks import superb_task

SMOKE = "SMOKE RUN: other step counts or settings than the task's own; the figures compare with nothing published."


def comparability_notes(jobs: list[Job], options: Options) -> list[str]:
    """Return what keeps the figures from being comparable with the leaderboard's, a line each."""
    notes = [SMOKE] if any(job.is_smoke for job in jobs) else []
    if options.lexicon:
        notes.append("PR with other lexicons than the leaderboard's: its figure is not comparable with the board.")
    if options.fine_tune:
        notes.append("Fine-tuned encoders: not the constrained track.")
    if options.settings or options.configs:
        notes.append("Settings were changed (--set, --config): not the constrained track's protocol.")
    return notes


def job_line(job: Job) -> str:
    """Return a line about a job that is done."""
    trained, result = job.trained() or {}, job.result() or {"scores": {}}
    dev = "no dev score" if trained["dev_score"] is None else f"dev {100 * dev_score(job):.1f} %"
    metric = superb_task(job.task).metric
    tests = [f", {split} {metric} {100 * scores[metric]:.1f} %" for split, scores in result["scores"].items()]
    return f"{job.name}: {dev} at step {trained['checkpoint_step']}" + "".join(tests)


def results_table(content: dict, tasks: list[str], encoders: Iterable[ScoredEncoder]) -> str:
    """Return encoder × task in per cent: mean ± standard deviation over the seeds. `content`: of results.json."""
    columns = [(task, split, superb_task(task).metric) for task in tasks for split in _splits(content, task)]
    by_key = {(entry["task"], entry["encoder"], entry["split"]): entry for entry in content["summary"]}
    rows = [["test, %"]]
    for task, split, metric in columns:
        of_split = "" if split == "test" else " " + split.removeprefix("test-")
        rows[0].append(f"{task.upper()}{of_split} {metric} {ARROWS[metric]}")
    for encoder in encoders:
        cells = [_cell(by_key.get((task, encoder.name, split)), metric) for task, split, metric in columns]
        rows.append([encoder.name, *cells])
    return text_table(rows)


def rates_table(jobs: list[Job], chosen: list[Job]) -> str:
    """Return task and encoder × learning rate: the mean dev score over seeds, and which rate was tested."""
    rates = list(dict.fromkeys(job.lr for job in jobs))
    rows = [["dev, %", *map(str, rates)]]
    for task, encoder in dict.fromkeys((job.task, job.encoder) for job in jobs):
        cells = [f"{task} {encoder.name}"]
        for rate in rates:
            group = [job for job in jobs if (job.task, job.encoder, job.lr) == (task, encoder, rate) and job.trained()]
            mark = " <" if any(job in chosen for job in group) else ""
            cells.append(f"{100 * mean_dev_score(group):.1f}{mark}" if group else "-")
        rows.append(cells)
    return text_table(rows)


def footnotes(content: dict, jobs: list[Job], chosen: list[Job], failed: list[Job]) -> list[str]:
    """Return the lines under the table of results. `content`: of results.json."""
    lines = []
    if any(not entry["best_on_dev"] for entry in content["summary"]):
        lines.append(f"* {NO_BEST}")
    if len({job.seed for job in jobs}) > 1:
        lines.append("± standard deviation over seeds")
    if len({job.lr for job in jobs}) > 1:
        what = "mean over seeds of what S3PRL chooses by (KS, IC, SD accuracy, PR PER, ASR WER); < was tested"
        lines += [f"\nLearning rates by dev, %: {what}", rates_table(jobs, chosen)]
    for entry in content["jobs"]:
        dropped = entry.get("dropped") or {}
        for what in ("dropped_batches", "nan_steps"):
            if dropped.get(what):
                name = f"{entry['task']} {entry['encoder']} seed {entry['seed']}"
                lines.append(f"{name}: {dropped[what]} {what.replace('_', ' ')}")
    for task, name, split, share in unalignable(content):
        lines.append(
            f"{task} {name}: {100 * share:.1f} % of the utterances of {split} have more CTC labels than states, "
            "and count nothing in the loss"
        )
    return [*lines, *content["notes"], *(f"failed: {job.name}, see {job.folder}" for job in failed)]


def _cell(entry: dict | None, metric: str) -> str:
    if entry is None:
        return "-"
    figure = entry[metric]
    spread = "" if figure["std"] is None else f" ± {100 * figure['std']:.1f}"
    return f"{100 * figure['mean']:.1f}{spread}{'' if entry['best_on_dev'] else ' *'}"


def _splits(content: dict, task: str) -> list[str]:
    found = dict.fromkeys(entry["split"] for entry in content["summary"] if entry["task"] == task)
    return list(found) or [superb_task(task).test_split]
