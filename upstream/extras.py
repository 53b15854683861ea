"""What to install if a library is missing. The encoder needs torch alone; all else asks for an extra of the package."""

import sys
import traceback
from pathlib import Path

from mmpt.upstream.repository import REPOSITORY

# Folder or file of the package → the extra in setup.cfg that brings what it imports. The longest path counts.
EXTRAS = {
    "downstream_configs": "superb",
    "midtrain": "training",
    "pretrain": "training",
    "scripts": "training",
    "scripts/benchmark": "all",
    "scripts/prepare/librispeech_lengths.py": "superb",
    "scripts/probe_phones.py": "all",
    "scripts/quickstart.py": "all",
    "scripts/quickstart_report.py": "all",
    "scripts/report.py": "superb",
    "scripts/superb": "superb",
    "scripts/superb/score.py": "bundle",
    "study": "all",
    "superb": "superb",
    "superb/scoring": "bundle",
    "superb/submission": "bundle",
    "training": "training",
    "upstream/s3prl_runner": "superb",
    "upstream/transformers_encoder": "superb",
}
NEUTRAL = ("scripts/cli.py", "upstream")  # call others, or need torch alone


def extra_of(file: Path) -> str | None:
    """Return the extra that a file of the package needs, None if it needs none or lies elsewhere."""
    file = file.resolve()
    if not file.is_relative_to(REPOSITORY):
        return None
    path = file.relative_to(REPOSITORY)
    for above in (path, *path.parents):
        if extra := EXTRAS.get(above.as_posix()):
            return extra
        if above.as_posix() in NEUTRAL:
            return None
    return None


def what_to_install(error: ModuleNotFoundError) -> str | None:
    """Describe in one line what is missing and how to install it, for the command that met the error first.

    Returns:
        The line, or None if the missing module is our own or Python's, which is a fault and not a missing library.
    """
    module = (error.name or "").partition(".")[0]
    if module in ("", "mmpt", *sys.stdlib_module_names):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    extra = next((found for frame in frames if (found := extra_of(Path(frame.filename)))), None)
    return f"{module} is not installed: pip install 'mmpt-av[{extra}]'" if extra else None
