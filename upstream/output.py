"""Where commands may write: any folder but those of the project's own sources."""

from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

SOURCES = (
    ".ci",
    ".git",
    ".github",
    "constraints",
    "docs",
    "downstream_configs",
    "midtrain",
    "pretrain",
    "samples",
    "scripts",
    "study",
    "superb",
    "tests",
    "training",
    "upstream",
)


def source_folder(path: Path) -> str | None:
    """Return the name of the source folder that `path` is or lies in, "." for the repository itself, None elsewhere."""
    absolute = path.expanduser().resolve()
    if absolute == REPOSITORY:
        return "."
    if not absolute.is_relative_to(REPOSITORY):
        return None
    top = absolute.relative_to(REPOSITORY).parts[0]
    return top if top in SOURCES else None


def check_output(path: Path, example: str, flag: str = "--out") -> Path:
    """Return `path`, a folder to write to.

    Args:
        path: as given on the command line.
        example: a folder that the error suggests, such as runs/pretrain/NAME.
        flag: the option that gave it.

    Raises:
        InputError: it is the repository, or a folder of its sources.
    """
    if source_folder(path) is not None:
        raise InputError(f"{flag} {path}: holds the project's sources; give another folder, such as {example}")
    return path
