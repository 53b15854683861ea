"""What a SUPERB run prints: tables that line up in a terminal, and the lines around them."""

import math
import textwrap
from collections.abc import Iterable

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.jobs import Job
from mmpt.superb.options import Options
from mmpt.superb.results import unalignable
from mmpt.superb.selection import dev_score, mean_rate_score, was_measured
from mmpt.superb.statistics.metrics import PRIMARY, shown_metrics, title
from mmpt.superb.statistics.wording import listed, pair_lines
from mmpt.superb.text_table import NO_BEST, text_table
from mmpt.upstream.s3prl_runner.tasks import superb_task

WIDTH = 100  # of a terminal
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
    tests = [
        f", {split} {metric} {100 * scores[metric]:.1f} %"
        for split, scores in result["scores"].items()
        for metric in shown_metrics(job.task)
        if metric in scores
    ]
    return f"{job.name}: {dev} at step {trained['checkpoint_step']}" + "".join(tests)


def results_table(content: dict, tasks: list[str], encoders: Iterable[ScoredEncoder]) -> str:
    """Return figure × encoder in per cent, in several tables if one were too wide. `content`: of results.json.

    Each is the mean over seeds ± its standard deviation (95 % interval).
    """
    by_key = {(entry["task"], entry["encoder"], entry["split"]): entry for entry in content["summary"]}
    cells = [
        (task, split, metric) for task in tasks for split in _splits(content, task) for metric in shown_metrics(task)
    ]
    heads = ["test, %", *(title(*cell) for cell in cells)]
    columns = [
        [encoder.name, *(_cell(by_key.get((task, encoder.name, split)), metric) for task, split, metric in cells)]
        for encoder in encoders
    ]
    # As few tables as fit in the terminal, with about as many encoders in each.
    most = max(1, (WIDTH - 1 - _width(heads)) // max(map(_width, columns)))
    size = math.ceil(len(columns) / math.ceil(len(columns) / most))
    tables = [[heads, *columns[first : first + size]] for first in range(0, len(columns), size)]
    return "\n\n".join(text_table([list(row) for row in zip(*table)]) for table in tables)


def rates_table(jobs: list[Job], chosen: list[Job]) -> str:
    """Return task and encoder × learning rate: the mean dev score over seeds, and which rate was tested."""
    rates = sorted({job.lr for job in jobs}, key=lambda rate: float(rate or 0))  # None: the task's own
    rows = [["dev, %", *map(str, rates)]]
    for task, encoder in dict.fromkeys((job.task, job.encoder) for job in jobs):
        cells = [f"{task} {encoder.name}"]
        for rate in rates:
            group = [job for job in jobs if (job.task, job.encoder, job.lr) == (task, encoder, rate) and job.trained()]
            mark = " <" if any(job in chosen for job in group) else ""
            measured = group and all(map(was_measured, group))
            score = f"{100 * mean_rate_score(group):.1f}" if measured else "not measured"
            cells.append(f"{score}{mark}" if group else "-")
        rows.append(cells)
    return text_table(rows)


def footnotes(content: dict, jobs: list[Job], chosen: list[Job], failed: list[Job]) -> list[str]:
    """Return the lines under the table of results. `content`: of results.json."""
    lines = []
    if any(not entry["best_on_dev"] for entry in content["summary"]):
        lines.append(f"* {NO_BEST}")
    if len({job.seed for job in jobs}) > 1:
        lines.append("± standard deviation over seeds")
    lines += _interval_note(content)
    compared = content.get("comparisons", [])
    if compared:
        count = f"{len(compared)} comparisons" if len(compared) > 1 else "one comparison"
        lines.append(f"\nPaired tests, clustered by speaker, at 5 % by Holm over {count} (figures: results.json):")
        lines += pair_lines(compared)
    if len({job.lr for job in jobs}) > 1:
        what = "mean over seeds of accuracy, of PR's phone errors and ASR's unit errors (characters, word ends)"
        lines += [f"\nLearning rates by dev, %: {what}; < was tested", rates_table(jobs, chosen)]
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
    if entry is None or metric not in entry:
        return "-"
    figure, mark = entry[metric], "" if entry["best_on_dev"] else " *"
    spread = "" if figure["std"] is None else f" ± {100 * figure['std']:.1f}"
    found = figure.get("interval")
    interval = f" ({100 * found['low']:.1f}–{100 * found['high']:.1f})" if found else ""
    return f"{100 * figure['mean']:.1f}{spread}{interval}{mark}"


def _interval_note(content: dict) -> list[str]:
    """Return how the intervals were found, task by task; nothing if there are none.

    The split is named where a task has several, and the encoder where encoders differ.
    """
    found = {
        (entry["task"], entry["split"], entry["encoder"]): entry[PRIMARY[entry["task"]]]["interval"]["method"]
        for entry in content["summary"]
        if entry.get(PRIMARY[entry["task"]], {}).get("interval")
    }
    names: dict[str, dict[str, None]] = {}
    for (task, split, encoder), method in found.items():
        splits = {cell[1] for cell in found if cell[0] == task}
        methods = {other for cell, other in found.items() if cell[:2] == (task, split)}
        parts = [task.upper(), *([split] if len(splits) > 1 else []), *([encoder] if len(methods) > 1 else [])]
        names.setdefault(method, {})[" ".join(parts)] = None
    texts = [f"{listed(those)} {method}" for method, those in names.items()]
    return textwrap.wrap(f"In brackets: 95 % interval: {'; '.join(texts)}", WIDTH) if texts else []


def _width(column: list[str]) -> int:
    """Return what a column takes of the terminal's width."""
    return max(map(len, column)) + 3


def _splits(content: dict, task: str) -> list[str]:
    found = dict.fromkeys(entry["split"] for entry in content["summary"] if entry["task"] == task)
    return list(found) or [superb_task(task).test_split]
