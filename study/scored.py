"""A study with its scores: what its page is made from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmpt.study.names import encoder_name
from mmpt.study.record import MadeEncoder, Study, read_study
from mmpt.superb.report.collect import Collection, collect
from mmpt.superb.report.rows import Cell, EncoderRow
from mmpt.superb.statistics.metrics import PRIMARY, is_better
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.tasks import TASKS

# The figure of each task that comparisons count, on its own test set.
COUNTED: dict[str, Cell] = {task.name: (task.name, task.test_split, PRIMARY[task.name]) for task in TASKS}


@dataclass(frozen=True)
class Difference:
    """How much better one encoder is than another on one task.

    Args:
        points: in points of the score; positive is better, also where a low score is good.
        p: corrected for all comparisons of the study (Holm).
    """

    points: float
    p: float
    told_apart: bool

    @property
    def is_shown(self) -> bool:
        """Return True if the encoder is better, and told apart."""
        return self.told_apart and self.points > 0

    @property
    def is_lost(self) -> bool:
        """Return True if the encoder is worse, and told apart."""
        return self.told_apart and self.points < 0


@dataclass(frozen=True)
class ScoredStudy:
    """What study.json and results.json of a study's folder hold."""

    study: Study
    found: Collection

    @cached_property
    def rows(self) -> dict[str, EncoderRow]:
        """Encoder → its scores. Encoders of equal weights share a row."""
        return {run.name: row for row in self.found.rows for run in row.runs}

    @cached_property
    def comparisons(self) -> dict[tuple[str, str, str], dict]:
        """Task, baseline and encoder, by the rows' names → the comparison of results.json."""
        return {(one["task"], one["baseline"], one["encoder"]): one for one in self.found.all_comparisons()}

    @property
    def encoders(self) -> tuple[MadeEncoder, ...]:
        return self.study.encoders

    def name(self, encoder: MadeEncoder) -> str:
        """Return its name on the page."""
        return encoder_name(encoder, self.encoders)

    def cells(self) -> list[Cell]:
        """Return the figures that any encoder has, by task."""
        order = list(COUNTED)
        return sorted(self.found.cells(), key=lambda cell: order.index(cell[0]))

    def tasks(self) -> list[str]:
        """Return the tasks of the study, those of the jobs that results.json has; all five before there are any."""
        known = {job["task"] for job in self.found.jobs}
        return [task for task in COUNTED if task in known or not known]

    def missing(self) -> int:
        """Return how many scores are not there yet, of the tasks that results.json knows and the encoders planned."""
        return sum(
            encoder.name not in self.rows or COUNTED[task] not in self.rows[encoder.name].scores
            for encoder in self.encoders
            for task in self.tasks()
        )

    def difference(self, task: str, baseline: str, encoder: str) -> Difference | None:
        """Return how much better an encoder is than a baseline; None unless they were compared. Both by name."""
        if baseline not in self.rows or encoder not in self.rows:
            return None
        one = self.comparisons.get((task, self.rows[baseline].name, self.rows[encoder].name))
        if one is None:
            return None
        sign = 100 if is_better(one["metric"], 1.0) else -100
        return Difference(sign * one["difference"], one["p_corrected"], one["told_apart"])


def read_scored(folder: Path) -> ScoredStudy:
    """Read a study's folder.

    Raises:
        InputError: study.json or results.json is missing or damaged, or they do not belong together.
    """
    scored = ScoredStudy(read_study(folder), collect([folder]))
    unknown = scored.rows.keys() - {encoder.name for encoder in scored.encoders}
    if unknown:
        raise InputError(f"{folder}: results.json scores {min(unknown)}, which study.json does not list")
    return scored
