"""Collect each encoder's origin and scores from the results of runs. Nothing is filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from mmpt.superb.report.rows import Cell, EncoderRow, Score
from mmpt.superb.report.speaker_names import speaker_names
from mmpt.superb.report.word_errors import PRE, SPLITS, Key, WordErrors
from mmpt.superb.results import identity_of, read_results
from mmpt.superb.results_folder import moved
from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.metrics import shown_metrics

METHODS = {"mae": "MAE", "clr": "CLR", "mae+clr": "MAE+CLR"}  # the paper's names of stage 1's objectives
NO_METHOD = "none"  # mid-trained without pre-training


@dataclass
class Collection:
    """All results that a report is about.

    Args:
        rows: one an encoder.
        jobs: of results.json, for curves, layer weights and predictions; each with `experiment`, S3PRL's folder.
        comparisons: path of a run → its comparisons, under the rows' names.
        notes: of results.json.
        sources: the files that were read, with the commands that made them.
    """

    rows: list[EncoderRow] = field(default_factory=list)
    jobs: list[dict] = field(default_factory=list)
    comparisons: dict[str, list[dict]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sources: list[dict] = field(default_factory=list)

    def cells(self) -> list[Cell]:
        """Return the figures that any encoder has, in the order of the results."""
        return list(dict.fromkeys(cell for row in self.rows for cell in row.scores))

    def all_comparisons(self) -> list[dict]:
        return [one for group in self.comparisons.values() for one in group]

    def word_errors(self) -> dict[str, WordErrors]:
        """Return LibriSpeech's word errors in the form of the paper's table.

        Several encoders of one method, data set and language are averaged. Scratch is the untrained encoder, if one was
        scored.
        """
        return {split: self._word_errors(("asr", f"test-{split}", "wer")) for split in SPLITS}

    def _word_errors(self, cell: Cell) -> WordErrors:
        values: dict[Key | None, list[float]] = {}
        for row in self.rows:
            if row.kind in ("untrained", "pre-trained", "mid-trained") and cell in row.scores:
                trained = (row.method or NO_METHOD, row.data or "-", row.language or PRE)
                key = None if row.kind == "untrained" else trained
                values.setdefault(key, []).extend(100 * value for value in row.scores[cell].values.values())
        means = {key: fmean(group) for key, group in values.items() if key is not None}
        spreads = {key: stdev(group) for key, group in values.items() if len(group) > 1}
        return WordErrors(means, fmean(values[None]) if None in values else None, spreads)


def collect(paths: list[Path]) -> Collection:
    """Read runs' results.json files, or the folders that hold them. Encoders with one hash are one.

    Raises:
        InputError: one cannot be read.
    """
    found = Collection()
    rows: dict[tuple[str, bool], EncoderRow] = {}
    for path in paths:
        content = read_results(path)
        found.notes += [note for note in content["notes"] if note not in found.notes]
        found.sources.append(
            {"path": str(path), "command": content.get("command", ""), "software": content.get("software", {})}
        )
        names, folder = _encoders(content, rows), path if path.is_dir() else path.parent
        for name, row in names.items():
            row.runs.append(EncoderInRun(name, content, folder))
        jobs = [_job(job, names, folder) for job in content["jobs"]]
        known = {job["folder"] for job in found.jobs}  # results may be given twice, or hold what others hold
        found.jobs += [job for job in jobs if job["folder"] not in known]
        _add_scores(content, names, jobs)
        comparisons = [
            {**one, "encoder": names[one["encoder"]].name, "baseline": names[one["baseline"]].name}
            for one in content.get("comparisons", [])
        ]
        if comparisons and comparisons not in found.comparisons.values():
            found.comparisons[str(path)] = comparisons
    found.rows = list(rows.values())
    return found


def _encoders(content: dict, rows: dict[tuple[str, bool], EncoderRow]) -> dict[str, EncoderRow]:
    """Return the run's names of encoders → their rows; new ones are added to `rows`, by hash and fine-tuning."""
    fine_tuned = {job["encoder"] for job in content["jobs"] if job.get("fine_tuned")}
    names = {}
    for entry in content["encoders"]:
        key = (identity_of(entry), entry["name"] in fine_tuned)
        names[entry["name"]] = row = rows.setdefault(key, _row(entry, key[1], {other.name for other in rows.values()}))
        row.board, row.cost = entry.get("server_score") or row.board, entry.get("cost") or row.cost
    return names


def _add_scores(content: dict, names: dict[str, EncoderRow], jobs: list[dict]) -> None:
    """Add a run's summary to the rows."""
    experiments = {job["task"]: job["experiment"] for job in jobs if job["chosen"]}
    speakers = {task: speaker_names(folder, task) for task, folder in experiments.items() if task not in ("ic", "sd")}
    speakers["sd"] = speakers.get("asr") or speakers.get("pr") or {}  # LibriMix has LibriSpeech's readers
    for entry in content["summary"]:
        task, row = entry["task"], names[entry["encoder"]]
        row.rates[task] = tuple(entry.get("lr_grid", ()))
        for metric in shown_metrics(task):
            if metric in entry:
                score = row.scores.setdefault((task, entry["split"], metric), Score())
                score.add(entry["seeds"], entry[metric], speakers.get(task, {}))
                score.is_best_on_dev &= entry["best_on_dev"]


def _job(job: dict, names: dict[str, EncoderRow], folder: Path) -> dict:
    """Return a job under its row's name, with S3PRL's folder, even if the run was moved to `folder`."""
    experiment = moved(Path(job["folder"]), folder) / "experiment"
    return {**job, "encoder": names[job["encoder"]].name, "experiment": experiment}


def _row(entry: dict, fine_tuned: bool, taken: set[str]) -> EncoderRow:
    """Return an encoder without scores yet, under a name of its own."""
    name = entry["name"]
    while name in taken:
        name += "'"
    if not entry["checkpoint"] and "/" not in entry["upstream"]:
        return EncoderRow(name, "stock", fine_tuned=fine_tuned)
    stages = {
        stage.get("stage"): stage
        for stage in (entry["provenance"] or {}).get("stages") or []
        if isinstance(stage, dict)
    }
    pre, mid = stages.get("pretrain", {}), stages.get("midtrain", {})
    method = pre.get("objective")
    method = METHODS.get(str(method), method)
    return EncoderRow(name, _kind(set(stages)), method, pre.get("data"), mid.get("language"), fine_tuned)


def _kind(stages: set[str | None]) -> str:
    """Return what the stages of its provenance make of an encoder."""
    if not stages or not stages <= {"untrained", "pretrain", "midtrain"}:
        return "other"
    return "mid-trained" if "midtrain" in stages else "pre-trained" if "pretrain" in stages else "untrained"
