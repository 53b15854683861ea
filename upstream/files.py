"""Files and folders that are written whole or not at all. No other module renames a temporary file.

For content that another library writes to a path: `with replacing(path) as temporary: figure.savefig(temporary)`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.atomic import TEMPORARY_SUFFIX, replacing, temporary_name

__all__ = ["remove_abandoned", "remove_folder", "replacing", "replacing_folder", "write_bytes", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8, line ends as given), whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes, sync: bool = False) -> None:
    """Write a file, whole or not at all. `sync` flushes it to the disk first (see `replacing`)."""
    with replacing(path, sync) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; rename it to `path` at the end, or delete it after an error.

    Missing parents are made. A folder that already lies at `path` is moved away just before the rename, then deleted.
    A symbolic link stays: all this happens to the folder behind it.

    Raises:
        InputError: `path` is a mount point, which cannot be renamed.
    """
    path = path.resolve()
    temporary = temporary_name(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        with _moved_away(path):
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Delete a folder if it exists, renamed first: an interruption never leaves half of it under its name.

    A symbolic link stays, without a folder behind it.

    Raises:
        InputError: it is a mount point, which cannot be renamed.
    """
    with _moved_away(path.resolve()):
        pass


@contextmanager
def _moved_away(path: Path) -> Iterator[None]:
    """Rename whatever lies at `path`, and delete it at the end, or put it back after an error."""
    if not path.exists():
        yield
        return
    if path.is_mount():
        raise InputError(f"{path}: is a mount point, which cannot be replaced; name a folder in it")
    old = temporary_name(path)
    path.rename(old)
    try:
        yield
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old)


def remove_abandoned(folder: Path) -> None:
    """Delete the temporary files that killed processes left in a folder. No other process may be writing to it."""
    for temporary in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
