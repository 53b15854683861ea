"""built.json: what a built folder was built from, and whether it is whole."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "built.json"
FORMAT = "mmpt-samples"
# Raise it with every change of the builder that changes what it writes: folders of other versions are built anew.
VERSION = 6


@dataclass(frozen=True)
class Stamp:
    """Identity of a build; `files` counts what was built beside built.json, `root` is the place it was built for."""

    format: str
    version: int
    sources: str
    files: int
    root: str


def hash_sources(samples: Path, names: list[str]) -> str:
    """SHA-256 over the paths inside samples/ and the contents of the files that a build reads."""
    total = hashlib.sha256()
    for name in sorted(names):
        total.update(f"{name}\t{hashlib.sha256((samples / name).read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def count_files(root: Path) -> int:
    """Files under root, built.json left out."""
    return sum(path.is_file() for path in root.rglob("*")) - (root / FILE_NAME).is_file()


def write_stamp(root: Path, sources: str, final_root: Path) -> None:
    stamp = Stamp(FORMAT, VERSION, sources, count_files(root), str(final_root))
    (root / FILE_NAME).write_text(json.dumps(asdict(stamp), indent=1) + "\n", encoding="utf-8")


def read_stamp(root: Path) -> Stamp | None:
    """The stamp of a built folder; None if root is not one."""
    try:
        stamp = Stamp(**json.loads((root / FILE_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return stamp if stamp.format == FORMAT else None
