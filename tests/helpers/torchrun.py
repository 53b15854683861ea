"""torchrun on this machine, for tests of several processes."""

import os
import subprocess
import sys
from pathlib import Path

from mmpt.upstream.repository import REPOSITORY

from helpers.forked_python import REAL_PYTHON


def torchrun(
    processes: int, *command: str, folder: Path, timeout: int = 240, real: bool = False
) -> subprocess.CompletedProcess:
    """Run a command under torchrun in a folder. `real`: start launcher and ranks, instead of forking them."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "tests")}
    python = REAL_PYTHON if real else sys.executable
    launcher = [python, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [*launcher, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )
