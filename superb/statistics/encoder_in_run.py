"""An encoder in results.json: its scores, and the items that they are made of."""

from dataclasses import dataclass, field
from pathlib import Path

from mmpt.superb.results_folder import moved
from mmpt.superb.statistics.reading import check_scored, merge_seeds, read_items
from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.items import Items


@dataclass(frozen=True)
class EncoderInRun:
    """One encoder of a run.

    Args:
        name: in the run.
        content: of results.json.
        folder: that holds it; the jobs' folders are looked for there if they were moved with it.
        label: what people read in place of its name, for encoders of two runs.
    """

    name: str
    content: dict
    folder: Path
    label: str = ""
    _read: dict[tuple[str, str], dict[str, Items]] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return self.label or self.name

    def summary(self, task: str, split: str) -> dict | None:
        """Return its entry in the summary, if it was tested there."""
        cell = (task, self.name, split)
        entries = self.content["summary"]
        return next((entry for entry in entries if (entry["task"], entry["encoder"], entry["split"]) == cell), None)

    def items(self, task: str, split: str) -> dict[str, Items]:
        """Return metric → items over all head seeds, in the order of the summary's `seeds`.

        Raises:
            InputError: it was not tested there, predictions are missing, or they are not those that were scored.
        """
        if (task, split) not in self._read:
            self._read[task, split] = self._items(task, split)
        return self._read[task, split]

    def jobs(self, task: str) -> list[dict]:
        """Return the jobs of results.json that scored it in a task: one a head seed."""
        own = [job for job in self.content["jobs"] if (job["task"], job["encoder"]) == (task, self.name)]
        return [job for job in own if job["chosen"] and job["state"] == "evaluated"]

    def rates(self, task: str) -> list[float]:
        """Return the learning rates that dev chose from: those of all trained jobs, ascending."""
        own = [job for job in self.content["jobs"] if (job["task"], job["encoder"]) == (task, self.name)]
        return sorted({job["lr"] for job in own if "dev_score" in job})

    def _items(self, task: str, split: str) -> dict[str, Items]:
        entry, jobs = self.summary(task, split), {job["seed"]: job for job in self.jobs(task)}
        if entry is None:
            raise InputError(f"{self.folder}: {self.name} was not tested in {task.upper()}, {split}")
        runs = []
        for seed in entry["seeds"]:
            folder = moved(Path(jobs[seed]["folder"]), self.folder)
            runs.append(read_items(folder / "experiment", task, split))
            check_scored(jobs[seed]["scores"][split], runs[-1], folder)
        return {metric: merge_seeds([run[metric] for run in runs]) for metric in runs[0]}
