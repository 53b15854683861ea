"""The command line that `run_downstream.py` hands to S3PRL, and the surroundings that its defaults depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmpt.upstream.s3prl_runner.tasks import StockTask


@dataclass(frozen=True)
class Surroundings:
    """All that the defaults depend on besides the command line."""

    folder: Path
    """The working directory."""
    environment: Mapping[str, str]
    samples: Callable[[], Path]
    """Returns the folder of the built samples, and builds them if necessary."""
    device: Callable[[], str]
    """Returns the best device of this machine."""
    read_checkpoint: Callable[[Path], dict[str, Any]]
    """Reads a checkpoint of S3PRL (`Args`, `Config`, ...); raises InputError if it cannot."""

    def path(self, name: str) -> Path:
        """Return a path that a user typed as an absolute one."""
        return (self.folder / Path(name).expanduser()).absolute()


@dataclass
class Plan:
    """A command line for S3PRL's `main()`, and notes about it for the user."""

    values: dict[str, Any]
    """Destination → value for the stock parser (`arguments.to_stock_argv`)."""
    task: StockTask | None = None
    """None for a task of S3PRL that we have no settings for."""
    expdir: str = ""
    """The folder that S3PRL will write to."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options for mmpt_av's expert."""
    restored: dict[str, Any] = field(default_factory=dict)
    """Arguments that S3PRL restores from a checkpoint (`-e`), in place of the given ones."""
    notes: list[str] = field(default_factory=list)

    @property
    def is_pr(self) -> bool:
        return self.task is not None and self.task.name == "pr"
