"""Run one function on many items, on all cores and with a progress bar."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.progress import Progress


class Workers:
    """A pool of `jobs` processes, used as a context: `workers.run("clips", make, items)`."""

    def __init__(self, jobs: int):
        # Spawned, not forked: a caller such as a test run may have threads (PyTorch's), which a fork would break.
        spawn = multiprocessing.get_context("spawn")
        # Ctrl-C reaches every process of the terminal; only the parent reports it.
        ignore = (signal.SIGINT, signal.SIG_IGN)
        self.pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=signal.signal, initargs=ignore)
        self.jobs = jobs

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def run(self, title: str, make: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Return [make(item) for item in items], in order; `make` and the items must be picklable.

        Raises:
            InputError: a process was killed.
        """
        items = list(items)
        # Small enough that the bar moves and all cores work until the end, large enough that sending costs nothing.
        chunk = max(1, min(16, len(items) // (8 * self.jobs)))
        results = self.pool.map(make, items, chunksize=chunk)
        try:
            return list(Progress(results, total=len(items), desc=title, unit="file", dynamic_ncols=True))
        except BrokenProcessPool:
            raise InputError("a worker process was killed (out of memory?); try --jobs 1") from None
