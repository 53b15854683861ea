"""SUPERB's published rows, and superb_s, its one figure for five tasks."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

import yaml

FIVE = ("ks", "ic", "pr", "sd", "asr")


@dataclass(frozen=True)
class PublishedRow:
    """A published upstream. None: not known.

    Args:
        name: as on the board.
        scores: task → per cent.
        params: in millions.
        gmacs: 10^9 MACs of the official 32 utterances.
        superb_s: see `superb_s`.
    """

    name: str
    scores: dict[str, float]
    params: float | None = None
    gmacs: float | None = None
    superb_s: float = 0.0


@cache
def board() -> dict:
    """Return the content of published.yaml."""
    return yaml.safe_load(Path(__file__).with_name("published.yaml").read_text(encoding="utf-8"))


def superb_s(scores: dict[str, float]) -> float | None:
    """Return the mean over the five tasks of 1000 · (s − fbank) / (sota − fbank); None if a task is missing.

    Args:
        scores: task → per cent: KS and IC accuracy, PR phone error, SD diarization error, ASR word error without a
            language model.
    """
    if not scores.keys() >= set(FIVE):
        return None
    return _mean_of_five(scores)


def _mean_of_five(scores: dict[str, float]) -> float:
    scale = board()["scale"]
    return fmean(1000 * (scores[task] - scale[task][0]) / (scale[task][1] - scale[task][0]) for task in FIVE)


def published() -> list[PublishedRow]:
    """Return the published rows, best superb_s first. FBANK's is 0, by the figures that the board shows."""
    rows = []
    for entry in board()["rows"]:
        scores = {task: entry[task] for task in (*FIVE, "asr_lm")}
        score = _mean_of_five({**scores, **entry.get("board", {})})
        rows.append(PublishedRow(entry["name"], scores, entry["params"], entry["gmacs"], score))
    return sorted(rows, key=lambda row: -row.superb_s)


def rank(score: float) -> int:
    """Return the place of this superb_s among the published rows, 1 for the best."""
    return 1 + sum(row.superb_s > score for row in published())
