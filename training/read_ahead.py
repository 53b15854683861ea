"""The next batch is made while the model computes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(batches: Iterable[T]) -> Iterator[T]:
    """Yield the batches; a thread makes the next one meanwhile.

    For batches that this process makes itself. A model that computes with one thread leaves a core for it, and making a
    batch spends most of its time outside of Python's lock. An error is raised when its batch is asked for.
    """
    items, end = iter(batches), object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        pending = thread.submit(next, items, end)
        while (batch := pending.result()) is not end:
            pending = thread.submit(next, items, end)
            yield batch  # type: ignore[misc]  # mypy does not see that `end` is excluded
