"""The time of our imports, beyond those of what they build on."""

import subprocess
import sys

from mmpt.scripts.benchmark.timing import spread

# What is imported first does not count.
PAIRS = {
    "mmpt.upstream.mmpt_av beyond torch": ("import torch", "import mmpt.upstream.mmpt_av"),
    "run_downstream.py before S3PRL's": ("pass", "import mmpt.upstream.s3prl_runner.launcher"),
    "run_downstream.py's with its defaults filled in": (
        "pass",
        "from mmpt.upstream.s3prl_runner import arguments, defaults, launcher; "
        "arguments.parse(['-u', 'fbank', '-d', 'ks'], 'run_downstream.py')",
    ),
}
TIMED = "import time\n{before}\nstarted = time.perf_counter()\n{after}\nprint(time.perf_counter() - started)"


def imports(rounds: int) -> None:
    """Time each in a new process, `rounds` times, after one that fills the caches."""
    print("\nimports, seconds")
    for name, (before, after) in PAIRS.items():
        command = [sys.executable, "-c", TIMED.format(before=before, after=after)]
        times = [
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(rounds + 1)
        ]
        print(f"  {name}: {spread(times[1:])}")
