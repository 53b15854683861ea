"""Where the built sample corpora lie; builds them when they are not there, and says so."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BUILDER = REPOSITORY / "scripts" / "samples" / "build.py"


def built_samples() -> Path:
    """The folder of the built sample corpora: `$MMPT_SAMPLES`, else `data/samples` in the repository.

    Raises:
        FileNotFoundError: the package is not used from its repository, which alone holds the samples.
        subprocess.CalledProcessError: the builder failed; it has said why.
    """
    if not BUILDER.is_file():
        raise FileNotFoundError("no data named, and the sample recordings are only in the repository: name your data, or work in a clone")
    folder = Path(os.environ.get("MMPT_SAMPLES") or REPOSITORY / "data" / "samples").absolute()
    built = (folder / "README.md").is_file()
    if not built:
        print(f"No data named: building the sample corpora in {folder}", file=sys.stderr)
    # The builder is asked either way: it alone knows whether what is there is whole and up to date, which takes it a second.
    subprocess.run([sys.executable, str(BUILDER), "--out", str(folder)], check=True, stdout=subprocess.DEVNULL if built else None)
    return folder
