"""Run one function over many jobs on all cores, with a progress bar."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tqdm import tqdm


class Workers:
    """A pool of `jobs` processes as a context manager: `workers.run("clips", make, items)`."""

    def __init__(self, jobs: int):
        # Spawned, not forked: a caller such as a test run may hold threads (PyTorch's), which a fork would break.
        spawn = multiprocessing.get_context("spawn")
        # Ctrl-C reaches every process of the terminal; the parent alone answers it, with one line.
        ignore = (signal.SIGINT, signal.SIG_IGN)
        self.pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=signal.signal, initargs=ignore)
        self.jobs = jobs

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_) -> None:
        self.pool.shutdown(cancel_futures=True)

    def run(self, title: str, make: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """[make(item) for item in items], in order; `make` and the items must be picklable."""
        items = list(items)
        # Small enough that the bar moves and the last chunk leaves no core idle, large enough that sending is free.
        chunk = max(1, min(16, len(items) // (8 * self.jobs)))
        results = self.pool.map(make, items, chunksize=chunk)
        return list(tqdm(results, total=len(items), desc=title, unit="file", dynamic_ncols=True))
