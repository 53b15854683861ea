"""One encoder in a report: where it comes from, and its scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean, stdev

from mmpt.superb.statistics.encoder_in_run import EncoderInRun

Cell = tuple[str, str, str]  # task, test split, metric


@dataclass
class Score:
    """A figure of one encoder.

    Args:
        values: head seed → score, a fraction as in results.json.
        interval: of 95 %, low and high, in per cent; None if not known for just these seeds.
        method: how the interval was found, in plain words.
        by_speaker: speaker → per cent, the mean over these seeds; empty if not known for just these seeds.
        is_best_on_dev: False if a last checkpoint stands in for the best on dev.
    """

    values: dict[int, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    method: str = ""
    by_speaker: dict[str, float] = field(default_factory=dict)
    is_best_on_dev: bool = True

    @property
    def mean(self) -> float:
        """Return the mean over head seeds, in per cent."""
        return 100 * fmean(self.values.values())

    @property
    def spread(self) -> float | None:
        """Return the standard deviation over head seeds, in points; None for fewer than two."""
        return 100 * stdev(self.values.values()) if len(self.values) > 1 else None

    def add(self, seeds: list[int], figure: dict, speakers: dict[str, str]) -> None:
        """Add what one run measured.

        Args:
            seeds: of the heads.
            figure: of a metric in the summary of results.json, in fractions.
            speakers: names of the speakers in `by_cluster`, as far as known.
        """
        before, new = dict(self.values), dict(zip(seeds, figure["values"]))
        self.values |= new
        if self.values == before and new != before:
            return  # nothing new, and the interval is of more seeds
        found = figure.get("interval") if self.values == new else None  # an interval of some seeds is not that of all
        self.interval = (100 * found["low"], 100 * found["high"]) if found else None
        self.method = found["method"] if found else ""
        by_cluster = figure.get("by_cluster", {}) if self.values == new else {}
        self.by_speaker = {speakers.get(name, name): 100 * value for name, value in by_cluster.items()}


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
        scores: its figures.
        runs: those that scored it.
        rates: task → the learning rates that dev chose from.
        board: superb_s and the five figures of one seed by the server's rules; None if no bundle was scored.
        cost: parameters and MACs of the 32 utterances, if measured.
    """

    name: str
    kind: str
    method: str | None = None
    data: str | None = None
    language: str | None = None
    fine_tuned: bool = False
    scores: dict[Cell, Score] = field(default_factory=dict)
    runs: list[EncoderInRun] = field(default_factory=list)
    rates: dict[str, tuple[float, ...]] = field(default_factory=dict)
    board: dict | None = None
    cost: dict | None = None

    def mean(self, cell: Cell) -> float | None:
        return self.scores[cell].mean if cell in self.scores else None

    @property
    def macs(self) -> int | None:
        return sum(self.cost["macs"].values()) if self.cost else None
