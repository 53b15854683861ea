"""The clone that this code runs from: its folder, its commit, its trained encoder, and where built samples belong."""

import json
import os
import subprocess
from pathlib import Path

from mmpt.upstream.errors import InputError

REPOSITORY = Path(__file__).resolve().parent.parent
BUILT = "built.json"  # in each build of the samples: what it was built from (scripts/samples/build_manifest.py)
BUILD_FORMAT = "mmpt-samples"  # in that file


def git_revision() -> str:
    """Return the running code's commit, "-dirty" if files differ from it, or "unknown" outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    if not (REPOSITORY / ".git").exists():  # installed, perhaps inside another repository
        return "unknown"
    try:
        found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def is_clone() -> bool:
    """Return True if the code runs from a clone of the repository, which alone has the sample recordings."""
    return (REPOSITORY / "samples" / "README.md").is_file()


def demo_encoder() -> Path | None:
    """Return the trained encoder that the repository holds; None where the package runs without its repository."""
    file = REPOSITORY / "samples" / "encoders" / "demo.pt"
    return file if file.is_file() else None


def samples_folder() -> Path:
    """Return the folder of the built sample corpora: `$MMPT_SAMPLES`, else `data/samples` in the repository."""
    return Path(os.environ.get("MMPT_SAMPLES") or REPOSITORY / "data" / "samples").absolute()


def in_built_samples(folder: Path) -> bool:
    """Return True if a corpus's folder lies in a build of the samples, at most two levels deep."""
    return any((one / BUILT).is_file() for one in (folder, *folder.absolute().parents[:2]))


def read_build(folder: Path) -> dict:
    """Return what the builder of the samples noted in a folder; nothing if the folder is no build of it."""
    try:
        noted = json.loads((folder / BUILT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) and noted.get("format") == BUILD_FORMAT else {}


def find_samples() -> Path:
    """Return the folder of the built sample corpora without building them.

    Raises:
        InputError: they are not built.
    """
    folder = samples_folder()
    if not (folder / "README.md").is_file():
        raise InputError(f"{folder}: the sample corpora are not built; python scripts/samples/build.py --out {folder}")
    return folder
