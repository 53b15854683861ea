"""Where results of stage 3 belong: runs/superb/NAME.

Results once went to superb/NAME, where the code of stage 3 lies today. Such a path still works: commands take it as
runs/superb/NAME and report that, unless results of that time still lie in it.
"""

import os
import sys
from pathlib import Path

from mmpt.upstream.output import check_output
from mmpt.upstream.repository import REPOSITORY

CODE = REPOSITORY / "superb"
RESULTS = REPOSITORY / "runs" / "superb"
UNNAMED = "results"  # for `--out superb`, which names no run


def output_folder(path: Path, flag: str = "--out") -> Path:
    """Return the folder to write to for `path`, as given on the command line.

    Raises:
        InputError: it holds the project's sources.
    """
    inside = _inside_code(path)
    if inside is None or _is_code(inside):
        return check_output(path, f"runs/superb/{'/'.join(inside or ('NAME',))}", flag)
    if inside and (CODE / inside[0]).is_dir():  # written at that time
        return path
    return _taken_as(path, RESULTS.joinpath(*inside or (UNNAMED,)))


def input_path(path: Path) -> Path:
    """Return the file or folder to read for `path`, as given on the command line."""
    inside = _inside_code(path)
    if inside is None or _is_code(inside) or (path / "results.json" if not inside else path).exists():
        return path
    moved = RESULTS.joinpath(*inside or (UNNAMED,))
    return _taken_as(path, moved) if moved.exists() else path


def moved(path: Path, folder: Path) -> Path:
    """Return a path that results.json names, or where it lies now if the whole run was moved to `folder`."""
    if path.exists():
        return path
    below = (folder.joinpath(*path.parts[first:]) for first in range(1, len(path.parts)))
    return next((other for other in below if other.exists()), path)


def _inside_code(path: Path) -> tuple[str, ...] | None:
    """Return the parts of `path` below this folder of code, empty for the folder itself, None for other paths."""
    absolute = path.expanduser().resolve()
    return absolute.relative_to(CODE).parts if absolute.is_relative_to(CODE) else None


def _is_code(inside: tuple[str, ...]) -> bool:
    """Return True if the path is, or lies in, a file or package of this folder."""
    if not inside:
        return False
    first = CODE / inside[0]
    return first.is_file() or (first / "__init__.py").is_file() or first.name == "__pycache__"


def _taken_as(path: Path, moved: Path) -> Path:
    """Report that `path` is taken as `moved`; return it as a path from the working directory."""
    shown = Path(os.path.relpath(moved))
    print(f"{path}: taken as {shown} (superb/ holds the project's code)", file=sys.stderr)
    return shown
