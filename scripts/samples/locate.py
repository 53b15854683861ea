"""Find the built sample corpora; build them if they are missing."""

import functools
import subprocess
import sys
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY, is_clone, samples_folder

BUILDER = REPOSITORY / "scripts" / "samples" / "build.py"


def built_samples() -> Path:
    """Return the folder of the built sample corpora; build them first if they are missing or out of date.

    Raises:
        InputError: the package does not run from its repository, where the recordings are; or the build failed, which
            the builder has reported.
    """
    if not is_clone():
        raise InputError(
            "no data named, and only the repository has the sample recordings: name your data, or work in a clone"
        )
    folder = samples_folder()
    _build(folder)
    return folder


@functools.cache  # the builder takes a second to find that nothing is to be done
def _build(folder: Path) -> None:
    built = (folder / "README.md").is_file()
    if not built:
        print(f"No data named: building the sample corpora in {folder} (small; build.py --full: all)", file=sys.stderr)
    # The builder runs in any case: it alone knows whether the folder is complete and up to date.
    command = [sys.executable, str(BUILDER), "--out", str(folder)]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL if built else None).returncode:
        raise InputError(f"{folder}: the sample corpora could not be built, see above; name your data, or fix that")
