"""A lock on an output folder, so that no two calls of a command write the same files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmpt.upstream.errors import InputError

LOCK = ".lock"  # this file stays: to delete it would let two waiting calls lock different files


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder.

    Raises:
        InputError: another call holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{folder}: another call is writing here; wait for it, or choose another --out") from None
    except OSError:  # some network file systems have no locks
        pass
    try:
        yield
    finally:
        lock.release()
