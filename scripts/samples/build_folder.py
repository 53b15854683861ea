"""A temporary folder beside the final one, in which a build is made before it is renamed into place."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmpt.upstream.errors import InputError

LOCK = "lock"


@contextmanager
def open_workshop(final_root: Path) -> Iterator[Path]:
    """Give an empty folder next to final_root and delete it afterwards, whatever happens.

    A sibling, because only within one file system can a finished folder be renamed at one stroke. Workshops of
    builds that were killed outright are deleted first; those at work hold a lock.
    """
    prefix = f".{final_root.name}.building-"
    try:
        final_root.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in final_root.parent.glob(f"{prefix}*"):
            if not in_use(abandoned):
                shutil.rmtree(abandoned, ignore_errors=True)
        workshop = Path(tempfile.mkdtemp(prefix=prefix, dir=final_root.parent))
    except OSError as error:
        raise InputError(
            f"{final_root.parent}: cannot be written to ({error.strerror}); choose another --out"
        ) from None
    try:
        with (workshop / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield workshop
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def in_use(workshop: Path) -> bool:
    """Whether a living process builds in a workshop."""
    try:
        with (workshop / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return True  # another build has just made it and not yet locked it
    return False
