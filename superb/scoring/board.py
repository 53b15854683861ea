"""SUPERB's published rows, and superb_s: one figure for five tasks."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

import yaml

FIVE = ("ks", "ic", "pr", "sd", "asr")


@dataclass(frozen=True)
class Row:
    """An upstream and what it scored, in per cent. params in millions, gmacs in 10^9 MACs of the official 32 utterances; None: not known."""

    name: str
    scores: dict[str, float]
    params: float | None = None
    gmacs: float | None = None
    superb_s: float | None = None


@cache
def board() -> dict:
    """The content of published.yaml."""
    return yaml.safe_load(Path(__file__).with_name("published.yaml").read_text(encoding="utf-8"))


def superb_s(scores: dict[str, float]) -> float | None:
    """Mean over the five tasks of 1000 · (s − fbank) / (sota − fbank); None where a task is missing.

    Args:
        scores: task → per cent: KS and IC accuracy, PR phone error, SD diarization error, ASR word error without a language model.
    """
    if any(scores.get(task) is None for task in FIVE):
        return None
    scale = board()["scale"]
    return fmean(1000 * (scores[task] - scale[task][0]) / (scale[task][1] - scale[task][0]) for task in FIVE)


def published() -> list[Row]:
    """The published rows, best superb_s first. FBANK's is that of the figures which the board shows, and so 0."""
    rows = []
    for entry in board()["rows"]:
        scores = {task: entry[task] for task in (*FIVE, "asr_lm")}
        rows.append(
            Row(entry["name"], scores, entry["params"], entry["gmacs"], superb_s({**scores, **entry.get("board", {})}))
        )
    return sorted(rows, key=lambda row: -row.superb_s)


def rank(score: float) -> int:
    """The place that this superb_s would take among the published rows, 1 the best."""
    return 1 + sum(row.superb_s > score for row in published())
