"""What the results of runs say of each encoder: where it comes from, what it scored. Nothing is filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from mmpt.superb.report.word_errors import PRE, SPLITS, Key, WordErrors
from mmpt.superb.submission.task_results import read_results
from mmpt.upstream.s3prl_runner.tasks import find_task

METHODS = {"mae": "MAE", "clr": "CLR", "mae+clr": "MAE+CLR"}  # the paper's names of stage 1's objectives
NO_METHOD = "none"  # mid-trained without pre-training
Cell = tuple[str, str]  # task, test split


@dataclass
class Row:
    """One encoder, frozen or fine-tuned, over all runs that scored it. Scores are in per cent, in order of the head seeds.

    method, data: of stage 1, None without; language: of stage 2, None without. board: superb_s and the five figures of one seed by the
    server's rules, None where no bundle was scored. cost: parameters and MACs of the 32 utterances, where measured.
    """

    name: str
    kind: str  # "stock", "untrained", "pre-trained", "mid-trained" or "other"
    method: str | None = None
    data: str | None = None
    language: str | None = None
    fine_tuned: bool = False
    scores: dict[Cell, dict[int, float]] = field(default_factory=dict)
    not_best: set[Cell] = field(default_factory=set)
    board: dict | None = None
    cost: dict | None = None

    def mean(self, cell: Cell) -> float | None:
        values = self.scores.get(cell)
        return fmean(values.values()) if values else None

    def spread(self, cell: Cell) -> float | None:
        """Standard deviation over head seeds; None of fewer than two."""
        values = list(self.scores.get(cell, {}).values())
        return stdev(values) if len(values) > 1 else None

    @property
    def macs(self) -> int | None:
        return sum(self.cost["macs"].values()) if self.cost else None


@dataclass
class Collection:
    """All results that a report is about. jobs: of results.json, for curves and layer weights. sources: what was read, with the commands."""

    rows: list[Row] = field(default_factory=list)
    jobs: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: list[dict] = field(default_factory=list)

    def cells(self) -> list[Cell]:
        """Tasks and splits that anything is known of, in the order of the results."""
        return list(dict.fromkeys(cell for row in self.rows for cell in row.scores))

    def word_errors(self) -> dict[str, WordErrors]:
        """LibriSpeech's word errors as the paper's table has them. Of several encoders of one method, data set and language the mean stands.

        Scratch is the untrained encoder, if one was scored.
        """
        return {split: self._word_errors(("asr", f"test-{split}")) for split in SPLITS}

    def _word_errors(self, cell: Cell) -> WordErrors:
        values: dict[Key | None, list[float]] = {}
        for row in self.rows:
            if row.kind in ("untrained", "pre-trained", "mid-trained") and cell in row.scores:
                key = (
                    None
                    if row.kind == "untrained"
                    else (row.method or NO_METHOD, row.data or "-", row.language if row.language else PRE)
                )
                values.setdefault(key, []).extend(row.scores[cell].values())
        means = {key: fmean(group) for key, group in values.items()}
        spreads = {key: stdev(group) for key, group in values.items() if len(group) > 1}
        scratch = means.pop(None, None)
        return WordErrors(means, scratch, spreads)


def collect(paths: list[Path]) -> Collection:
    """Reads runs' results.json files, or the folders that hold them. An encoder is known by its checkpoint's hash.

    Raises:
        InputError: one cannot be read.
    """
    found, rows = Collection(), {}
    for path in paths:
        content = read_results(path)
        found.notes += [note for note in content["notes"] if note not in found.notes]
        found.sources.append(
            {"path": str(path), "command": content.get("command", ""), "software": content.get("software", {})}
        )
        fine_tuned = {job["encoder"] for job in content["jobs"] if job.get("fine_tuned")}
        names = {}
        for entry in content["encoders"]:
            key = (entry["sha256"] or entry["name"], entry["name"] in fine_tuned)
            names[entry["name"]] = row = rows.setdefault(
                key, _row(entry, key[1], {other.name for other in rows.values()})
            )
            row.board, row.cost = entry.get("server_score") or row.board, entry.get("cost") or row.cost
        for entry in content["summary"]:
            cell, row = (entry["task"], entry["split"]), names[entry["encoder"]]
            metric = entry[find_task(entry["task"]).metric]["values"]
            row.scores.setdefault(cell, {}).update({seed: 100 * value for seed, value in zip(entry["seeds"], metric)})
            row.not_best |= set() if entry["best_on_dev"] else {cell}
        known = {job["folder"] for job in found.jobs}  # results may be given twice, or hold what others hold
        found.jobs += [
            {**job, "encoder": names[job["encoder"]].name} for job in content["jobs"] if job["folder"] not in known
        ]
    found.rows = list(rows.values())
    return found


def _row(entry: dict, fine_tuned: bool, taken: set[str]) -> Row:
    """An encoder without scores yet, under a name of its own."""
    name = entry["name"]
    while name in taken:
        name += "'"
    if not entry["checkpoint"]:
        return Row(name, "stock", fine_tuned=fine_tuned)
    stages = {
        stage.get("stage"): stage
        for stage in (entry["provenance"] or {}).get("stages") or []
        if isinstance(stage, dict)
    }
    known = set(stages) <= {"untrained", "pretrain", "midtrain"}
    kind = (
        "other"
        if not known or not stages
        else "mid-trained"
        if "midtrain" in stages
        else "pre-trained"
        if "pretrain" in stages
        else "untrained"
    )
    pre, mid = stages.get("pretrain", {}), stages.get("midtrain", {})
    objective = pre.get("objective")
    return Row(name, kind, METHODS.get(objective, objective), pre.get("data"), mid.get("language"), fine_tuned)


def relative_change(new: float | None, old: float | None, higher_is_better: bool) -> float | None:
    """Per cent by which a score is better than another (negative: worse), relative to that; None where either is missing, or that is 0."""
    if new is None or not old:
        return None
    return 100 * (new / old - 1) if higher_is_better else 100 * (1 - new / old)


def baselines(rows: list[Row], row: Row) -> dict[str, Row]:
    """What an encoder is compared with: the same one before mid-training, and the untrained one."""
    before = [
        o
        for o in rows
        if o.kind == "pre-trained" and (o.method, o.data, o.fine_tuned) == (row.method, row.data, row.fine_tuned)
    ]
    scratch = [o for o in rows if o.kind == "untrained" and o.fine_tuned == row.fine_tuned]
    found = {"pre-training only": before[0]} if row.kind == "mid-trained" and before else {}
    return found | ({"untrained": scratch[0]} if row.kind in ("pre-trained", "mid-trained") and scratch else {})
