"""Processes that read S3PRL's batches end with a run that is killed."""

import functools
from typing import Any

from torch.utils.data import DataLoader

from mmpt.upstream.child_process import end_with_killed_parent


def install() -> None:
    """Have the workers of each DataLoader made from now on end so, unless it says what a worker does first."""
    stock = DataLoader.__init__
    if hasattr(stock, "ends_workers"):
        return

    @functools.wraps(stock)
    def init(self: DataLoader, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        self.worker_init_fn = self.worker_init_fn or begin

    init.ends_workers = True  # type: ignore[attr-defined]
    DataLoader.__init__ = init  # type: ignore[method-assign]


def begin(worker: int) -> None:
    """Do what a worker does first."""
    end_with_killed_parent()
