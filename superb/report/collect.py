"""Collect each encoder's origin and scores from the results of runs. Nothing is filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from mmpt.superb.report.word_errors import PRE, SPLITS, Key, WordErrors
from mmpt.superb.results import read_results
from mmpt.upstream.s3prl_runner.tasks import superb_task

METHODS = {"mae": "MAE", "clr": "CLR", "mae+clr": "MAE+CLR"}  # the paper's names of stage 1's objectives
NO_METHOD = "none"  # mid-trained without pre-training
Cell = tuple[str, str]  # task, test split


@dataclass
class EncoderRow:
    """One encoder, frozen or fine-tuned, over all runs that scored it.

    Args:
        name: in the report.
        kind: "stock", "untrained", "pre-trained", "mid-trained" or "other".
        method: of stage 1; None without that stage.
        data: of stage 1; None without that stage.
        language: of stage 2; None without that stage.
        fine_tuned: True if the encoder was trained with the heads.
        scores: task and split → head seed → per cent.
        not_best: cells in which a last checkpoint stands in for the best on dev.
        board: superb_s and the five figures of one seed by the server's rules; None if no bundle was scored.
        cost: parameters and MACs of the 32 utterances, if measured.
    """

    name: str
    kind: str
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
        """Return the standard deviation over head seeds; None for fewer than two."""
        values = list(self.scores.get(cell, {}).values())
        return stdev(values) if len(values) > 1 else None

    @property
    def macs(self) -> int | None:
        return sum(self.cost["macs"].values()) if self.cost else None


@dataclass
class Collection:
    """All results that a report is about.

    Args:
        rows: one an encoder.
        jobs: of results.json, for curves and layer weights.
        notes: of results.json.
        sources: the files that were read, with the commands that made them.
    """

    rows: list[EncoderRow] = field(default_factory=list)
    jobs: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: list[dict] = field(default_factory=list)

    def cells(self) -> list[Cell]:
        """Return the tasks and splits with scores, in the order of the results."""
        return list(dict.fromkeys(cell for row in self.rows for cell in row.scores))

    def word_errors(self) -> dict[str, WordErrors]:
        """Return LibriSpeech's word errors in the form of the paper's table.

        Several encoders of one method, data set and language are averaged. Scratch is the untrained encoder, if one was
        scored.
        """
        return {split: self._word_errors(("asr", f"test-{split}")) for split in SPLITS}

    def _word_errors(self, cell: Cell) -> WordErrors:
        values: dict[Key | None, list[float]] = {}
        for row in self.rows:
            if row.kind in ("untrained", "pre-trained", "mid-trained") and cell in row.scores:
                trained = (row.method or NO_METHOD, row.data or "-", row.language or PRE)
                key = None if row.kind == "untrained" else trained
                values.setdefault(key, []).extend(row.scores[cell].values())
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
            metric = entry[superb_task(entry["task"]).metric]["values"]
            row.scores.setdefault(cell, {}).update({seed: 100 * value for seed, value in zip(entry["seeds"], metric)})
            row.not_best |= set() if entry["best_on_dev"] else {cell}
        known = {job["folder"] for job in found.jobs}  # results may be given twice, or hold what others hold
        found.jobs += [
            {**job, "encoder": names[job["encoder"]].name} for job in content["jobs"] if job["folder"] not in known
        ]
    found.rows = list(rows.values())
    return found


def _row(entry: dict, fine_tuned: bool, taken: set[str]) -> EncoderRow:
    """Return an encoder without scores yet, under a name of its own."""
    name = entry["name"]
    while name in taken:
        name += "'"
    if not entry["checkpoint"]:
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


def relative_change(new: float | None, old: float | None, higher_is_better: bool) -> float | None:
    """Return by how many per cent of `old` the score `new` is better (negative: worse); None if one is missing or 0."""
    if new is None or not old:
        return None
    return 100 * (new / old - 1) if higher_is_better else 100 * (1 - new / old)


def baselines(rows: list[EncoderRow], row: EncoderRow) -> dict[str, EncoderRow]:
    """Return what an encoder is compared with: the same one before mid-training, and the untrained one."""
    before = [
        o
        for o in rows
        if o.kind == "pre-trained" and (o.method, o.data, o.fine_tuned) == (row.method, row.data, row.fine_tuned)
    ]
    scratch = [o for o in rows if o.kind == "untrained" and o.fine_tuned == row.fine_tuned]
    found = {"pre-training only": before[0]} if row.kind == "mid-trained" and before else {}
    return found | ({"untrained": scratch[0]} if row.kind in ("pre-trained", "mid-trained") and scratch else {})
