"""The build manifest, built.json: what a folder was built from, and whether it is complete."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mmpt.scripts.samples.size import SMALL
from mmpt.upstream.files import write_text
from mmpt.upstream.repository import BUILD_FORMAT as FORMAT
from mmpt.upstream.repository import BUILT

# Raise it with every change of the builder that changes what it writes: folders of other versions are rebuilt.
VERSION = 8


@dataclass(frozen=True)
class BuildManifest:
    """What identifies a build."""

    format: str
    version: int  # of the builder
    sources: str  # see hash_sources
    size: str  # small or full
    files: int  # number of built files, built.json not counted
    root: str  # the place that it was built for


def hash_sources(samples: Path, names: list[str]) -> str:
    """Return one SHA-256 of the paths inside samples/ and the contents of the files that a build reads."""
    total = hashlib.sha256()
    for name in sorted(names):
        total.update(f"{name}\t{hashlib.sha256((samples / name).read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def files_in(root: Path) -> set[str]:
    """Return the paths inside `root` of its files, without built.json."""
    # Not by Path.rglob, which takes ten times as long: each command that works on the samples calls this first.
    start = len(os.path.join(root, ""))
    return {os.path.join(folder, name)[start:] for folder, _, names in os.walk(root) for name in names} - {BUILT}


def write_build_manifest(root: Path, sources: str, size: str, final_root: Path) -> None:
    """Write built.json for the files that lie in `root` now."""
    manifest = BuildManifest(FORMAT, VERSION, sources, size, len(files_in(root)), str(final_root))
    write_text(root / BUILT, json.dumps(asdict(manifest), indent=1) + "\n")


def read_build_manifest(root: Path) -> BuildManifest | None:
    """Return the build manifest of a folder, or None if it has none. Versions before 7 made small builds alone."""
    try:
        content = json.loads((root / BUILT).read_text(encoding="utf-8"))
        manifest = BuildManifest(**{"size": SMALL, **content})
    except (OSError, ValueError, TypeError):
        return None
    return manifest if manifest.format == FORMAT else None
