"""The software that results are made with."""

import platform
from importlib.metadata import version

from mmpt.upstream.repository import git_revision

PACKAGES = ("torch", "torchaudio", "s3prl", "mmpt-av")


def software_versions() -> dict[str, str]:
    """Return the versions of the packages and of Python, and this project's commit."""
    return {name: version(name) for name in PACKAGES} | {
        "python": platform.python_version(),
        "revision": git_revision(),
    }
