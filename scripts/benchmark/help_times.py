"""Time `--help` of every command: of `mmpt` with each subcommand, and of `run_downstream.py`, each in a new process."""

import argparse
import os
import statistics
import subprocess
import sys
import time

from mmpt.scripts import cli
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

CALLS = {
    "mmpt": ["scripts/cli.py"],
    **{f"mmpt {name}": ["scripts/cli.py", *name.split()] for name in cli.COMMANDS},
    "python run_downstream.py": ["run_downstream.py"],
}


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status, 1 if a median is above the limit."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=5, help="timed calls, after one that is not (default: %(default)s)")
    p.add_argument(
        "--limit-s", type=float, default=0.5, metavar="S", help="wanted on an idle core (default: %(default)s)"
    )
    options = p.parse_args(argv)
    if options.rounds < 1:
        raise InputError(f"--rounds must be at least 1, not {options.rounds}")
    slow = 0
    for name, words in CALLS.items():
        times = sorted([seconds(words) for _ in range(options.rounds + 1)][1:])
        late = statistics.median(times) > options.limit_s
        slow += late
        spread = f"{statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f})"
        print(f"{name:<36} {spread}{'  above the limit' if late else ''}", flush=True)
    return int(slow > 0)


def seconds(words: list[str]) -> float:
    """Return the time of a command's --help in a new process that may write byte code.

    Raises:
        InputError: it fails.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    command = [sys.executable, *words, "--help"]
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    spent = time.perf_counter() - started
    if result.returncode:
        raise InputError(f"{' '.join(words)} --help fails: {result.stderr.strip().splitlines()[-1]}")
    return spent


if __name__ == "__main__":
    sys.exit(main())
