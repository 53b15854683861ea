"""Where the built sample corpora lie; builds them when they are not there, and says so."""

import os
import subprocess
import sys
from pathlib import Path

from mmpt.upstream.errors import InputError

REPOSITORY = Path(__file__).resolve().parent.parent
BUILDER = REPOSITORY / "scripts" / "samples" / "build.py"


def samples_folder() -> Path:
    """Where the built sample corpora belong: `$MMPT_SAMPLES`, else `data/samples` in the repository."""
    return Path(os.environ.get("MMPT_SAMPLES") or REPOSITORY / "data" / "samples").absolute()


def built_samples() -> Path:
    """The folder of the built sample corpora, which are built now if they are not there.

    Raises:
        InputError: the package is not used from its repository, which alone holds the samples; or the builder failed,
            and has said why.
    """
    if not (REPOSITORY / "samples" / "README.md").is_file():
        raise InputError("no data named, and the sample recordings are only in the repository: name your data, or work in a clone")
    folder = samples_folder()
    built = (folder / "README.md").is_file()
    if not built:
        print(f"No data named: building the sample corpora in {folder}", file=sys.stderr)
    # The builder is asked either way: it alone knows whether what is there is whole and up to date, which takes it a second.
    command = [sys.executable, str(BUILDER), "--out", str(folder)]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL if built else None).returncode:
        raise InputError(f"the sample corpora in {folder} could not be built, see above; name your data, or mend that")
    return folder
