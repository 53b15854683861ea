"""A temporary folder beside the final one, in which a build is made before it is renamed into place."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mmpt.upstream.errors import InputError

LOCK = "lock"


@contextmanager
def open_build_folder(final_root: Path) -> Iterator[Path]:
    """Yield an empty folder next to `final_root`, and delete it afterwards, whatever happens.

    It lies in the same file system, so that the finished folder can be renamed in one step. First, build folders that
    killed builds left behind are deleted; a running build holds the lock of its folder.
    """
    prefix = f".{final_root.name}.building-"
    try:
        final_root.parent.mkdir(parents=True, exist_ok=True)
        for other in final_root.parent.glob(f"{prefix}*"):
            if not is_in_use(other):
                shutil.rmtree(other, ignore_errors=True)
        build_folder = Path(tempfile.mkdtemp(prefix=prefix, dir=final_root.parent))
    except OSError as error:
        raise InputError(
            f"{final_root.parent}: cannot be written to ({error.strerror}); choose another --out"
        ) from None
    try:
        with FileLock(build_folder / LOCK):
            yield build_folder
    finally:
        shutil.rmtree(build_folder, ignore_errors=True)


def is_in_use(build_folder: Path) -> bool:
    """Return True if a running process builds in the folder."""
    if not (build_folder / LOCK).is_file():
        return True  # another build has just made it, and will lock it next
    try:
        with FileLock(build_folder / LOCK, blocking=False):
            return False
    except Timeout:
        return True
