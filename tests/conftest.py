"""Fixtures that several folders of tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmpt.upstream.repository import REPOSITORY


@pytest.fixture(scope="session")
def built_samples() -> Path:
    """The built sample corpora: about a minute the first time, nothing from then on."""
    folder = Path(os.environ.get("MMPT_SAMPLES") or REPOSITORY / "data" / "samples").resolve()
    command = [sys.executable, str(REPOSITORY / "scripts" / "samples" / "build.py"), "--out", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr.splitlines()[-1]
    return folder
