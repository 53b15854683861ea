"""torchrun on this machine, for tests of several processes."""

import os
import subprocess
import sys
from pathlib import Path

from mmpt.upstream.repository import REPOSITORY


def torchrun(processes: int, *command: str, folder: Path, timeout: int = 240) -> subprocess.CompletedProcess:
    here = str(REPOSITORY / "tests")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": here}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [*launcher, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )
