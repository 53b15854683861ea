"""Files that appear under their name only when they are complete. Imports neither torch nor anything of this folder."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


def temporary_name(path: Path) -> Path:
    """Return a new hidden name beside `path`, `.NAME.RANDOM.tmp`: writers on several machines never share one."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")


@contextmanager
def replacing(path: str | os.PathLike[str], sync: bool = False) -> Iterator[Path]:
    """Yield a temporary name to write to; rename it to `path` at the end, or delete it after an error.

    The folder of `path` must exist. A process that is killed leaves the temporary file behind, and `path` as it was.

    Args:
        path: the file, or symbolic link, to make or replace.
        sync: flush the content to the disk before the rename, so that it survives a power cut.

    Raises:
        IsADirectoryError: it is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = temporary_name(path)
    try:
        yield temporary
        if sync:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk: the system does not tell which file it was
        raise
