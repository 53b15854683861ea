"""Start S3PRL's stock runner for one phase of a job: a training or an evaluation, each in a process of its own.

The process is a new one, or a fork of this one, which saves the 5 s that importing torch and S3PRL takes. What one
phase leaves behind in its process (seeds, wrapped functions, sys.argv) never reaches another one.
"""

import atexit
import functools
import multiprocessing
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import torch

from mmpt.superb.jobs import TAIL_BYTES, Job
from mmpt.upstream.child_process import end_with_parent
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import arguments, launcher

Start = Callable[[list[str], int, BinaryIO], int]
"""Takes the runner's arguments, the number of threads and an open log; returns the exit status, −N after signal N."""

LOG_LINES = 12  # of a failed job's log, shown in the error


def run_phase(job: Job, values: dict, log: str, start: Start) -> None:
    """Run the stock runner, its output appended to a log in the job's folder.

    Args:
        values: options of run_downstream.py, by the names that its parser gives them.
        start: `in_new_process` or `in_fork`.

    Raises:
        InputError: it failed; the message has the end of the log.
    """
    file = job.folder / log
    argv = arguments.to_argv(values)
    with file.open("ab") as output:
        output.write(f"\n$ {shlex.join(command(argv))}\n".encode())
        output.flush()
        status = start(argv, job.options.threads, output)
    if status:
        raise InputError(f"{job.name} failed (exit status {status}); the end of {file}:\n{end_of_log(file)}")


def command(argv: list[str]) -> list[str]:
    """Return the command line that runs the stock runner with these arguments."""
    return [sys.executable, "-m", "mmpt.upstream.s3prl_runner.launcher", *argv]


def in_new_process(argv: list[str], threads: int, log: BinaryIO) -> int:
    """Run it in a new interpreter. See `Start`."""
    return subprocess.run(
        command(argv),
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        preexec_fn=functools.partial(end_with_parent, os.getpid()),
        check=False,
    ).returncode


def in_fork(argv: list[str], threads: int, log: BinaryIO) -> int:
    """Run it in a fork of this process, which must have a single thread and must not have used a GPU. See `Start`."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=_become_launcher, args=(argv, threads, log.fileno(), os.getpid()))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _become_launcher(argv: list[str], threads: int, log: int, parent: int) -> None:
    """Behave as `python -m mmpt.upstream.s3prl_runner.launcher`. `log`: the number of the open file."""
    end_with_parent(parent)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for the processes that this one starts
    torch.set_num_threads(threads)  # torch has read the variable before
    sys.argv = [launcher.__file__, *argv]
    # Run at the end what the phase itself registers, as multiprocessing does from Python 3.13 on: TensorBoard's events
    # of a failed training are written then. What its parents registered, such as to release locks, is theirs to run.
    atexit._clear()
    try:
        sys.exit(launcher.main(argv))
    finally:
        atexit._run_exitfuncs()


def end_of_log(log: Path) -> str:
    """Return the last lines of a log, without progress bars."""
    text = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.strip() and "it/s]" not in line and "s/it]" not in line]
    return "\n".join(lines[-LOG_LINES:])
