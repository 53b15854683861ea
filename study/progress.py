"""One progress line for a whole study: how much of the expected work is done, the time passed and the time left."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmpt.upstream.progress import Progress

TERMINAL_LINE = "{desc}: {percentage:3.0f} % |{bar}| {elapsed} passed, about {remaining} left{postfix}"


class StudyProgress(Progress):
    """Progress in seconds of expected work, so that the time left allows for parts that take long.

    Args:
        expected_s: of the whole study, as the plan expects it on its machine.
        done_s: of the parts that an earlier call has finished.
        title: stands before the line.
    """

    def __init__(self, expected_s: float, done_s: float, title: str):
        self.lock = threading.Lock()
        self.finished_s, self.parts = done_s, list[Part]()
        super().__init__(
            total=expected_s, initial=done_s, desc=title, bar_format=TERMINAL_LINE, dynamic_ncols=True, unit="s"
        )

    @contextmanager
    def part(self, name: str, expected_s: float) -> Iterator["Part"]:
        """Show the name while a part runs, in any thread; at its end, all of its expected work is done."""
        part = Part(self, name, expected_s)
        with self.lock:
            self.parts.append(part)
        part.reach(0.0)
        try:
            yield part
            part.reach(1.0)
        finally:
            with self.lock:
                self.parts.remove(part)
                self.finished_s += part.done_s

    def show(self) -> None:
        """Show what is done of all parts."""
        with self.lock:
            self.set_postfix_str("; ".join(part.name for part in self.parts), refresh=False)
            self.update(max(0.0, self.finished_s + sum(part.done_s for part in self.parts) - self.n))
            if self.is_plain:
                self.refresh()  # a line every half minute even while no part gets on; on a terminal tqdm sees to it

    def line(self) -> str:
        """Return where the study stands, for a log."""
        elapsed, done = self._time() - self.start_t, self.n - self.initial
        left = ""
        if done > 0 and self.total > self.n:
            left = f", about {self.format_interval((self.total - self.n) / done * elapsed)} left"
        passed = self.format_interval(elapsed)
        return f"{self.desc}: {self.n / self.total:.0%}".replace("%", " %") + f", {passed} passed{left}: {self.postfix}"


class Part:
    """A part of a study that runs. `whole`: the study's line."""

    def __init__(self, whole: StudyProgress, name: str, expected_s: float):
        self.whole, self.name, self.expected_s, self.done_s = whole, name, expected_s, 0.0

    def reach(self, share: float) -> None:
        """Move to a share (0 to 1) of the part."""
        self.done_s = max(self.done_s, min(1.0, share) * self.expected_s)
        self.whole.show()

    def write(self, line: str) -> None:
        """Print a line above the study's line."""
        self.whole.write(line)


class JobsBar:
    """The bar of `superb.executor.execute`, as a share of a part of the study.

    Args:
        part: that these jobs are of.
        first, last: shares of the part at the beginning and the end of these jobs.
        log: a file for the lines about jobs.
        options: those of `Progress`: total and initial steps.
    """

    def __init__(self, part: Part, first: float, last: float, log: Path, **options: Any):
        self.part, self.first, self.last, self.log = part, first, last, log
        self.total, self.done = options["total"], options["initial"]

    def __enter__(self) -> "JobsBar":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, steps: int) -> None:
        """Add steps that have been trained."""
        self.done += steps
        self.part.reach(self.first + (self.last - self.first) * self.done / max(1, self.total))

    def write(self, line: str) -> None:
        """Write a line about a job into the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if line.startswith("FAILED"):
            self.part.write(line)
