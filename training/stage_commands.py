"""Run the project's training commands, as the quickstart and the study do. A finished one is reused."""

import fcntl
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mmpt.upstream.child_process import end_with_parent
from mmpt.upstream.files import write_text
from mmpt.upstream.repository import REPOSITORY

LOOK_EVERY_S = 1.0
SHOWN_LINES = 20  # of a log, where a command has failed
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit statuses
RUNNING: set[subprocess.Popen] = set()  # the commands that run now, of all threads
ENDING = threading.Event()  # they were told to end; one that a thread was about to start is told, too


@dataclass(frozen=True)
class Output:
    """Where a command's lines go.

    Args:
        log: a file, which is appended to; None: this process's output.
        look: is called every second while the command runs.
    """

    log: Path | None = None
    look: Callable[[], None] | None = None


HERE = Output()


def train(
    command: list[str], out: Path, config: Path, depends_on: str, output: Output = HERE, threads: int | None = None
) -> None:
    """Run a training stage, resume an interrupted one, or reuse a finished one.

    Args:
        command: the script and its options.
        out: the run's folder.
        config: its settings.
        depends_on: what else its result depends on. If this or the settings have changed, the stage starts again.
        output: where its lines go.
        threads: as for `run_command`.
    """
    with _sole_writer(out) as lock:
        _train(command, out, config, depends_on, output, threads, lock)


@contextmanager
def _sole_writer(out: Path) -> Iterator[IO[str]]:
    """Hold the lock of a run. A training whose starter was killed has it until it has saved."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.with_name(f".{out.name}.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{out}: another process trains it; waiting for its end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # some network file systems have no locks
            pass
        yield lock


def _train(
    command: list[str], out: Path, config: Path, depends_on: str, output: Output, threads: int | None, lock: IO[str]
) -> None:
    made_from = hashlib.sha256(config.read_bytes() + depends_on.encode()).hexdigest()
    marker = out / "made-from"
    same = marker.is_file() and marker.read_text(encoding="utf-8") == made_from
    if same and (out / "encoder.pt").is_file():
        if output.log is None:
            print(f"done before: {out / 'encoder.pt'}")
        return
    if same and any((out / "checkpoints").glob("*.pt")):
        command = [*command, "--resume"]
    elif out.exists():
        shutil.rmtree(out)
    options = ["--config", str(config), "--out", str(out)]
    run_command(*command, *options, marker=(marker, made_from), output=output, threads=threads, lock=lock)


def run_command(
    script: str,
    *arguments: str,
    marker: tuple[Path, str] | None = None,
    output: Output = HERE,
    threads: int | None = None,
    lock: IO[str] | None = None,
) -> None:
    """Run one of the project's commands; exit with its status if it fails.

    Ctrl-C and SIGTERM reach the command, which may finish its step and save (see `signals_to_commands`, which a caller
    that runs commands in several threads needs).

    Args:
        script: from the repository's folder.
        arguments: its options.
        marker: a file, and the text to write into it as soon as the command has made its folder.
        output: where its lines go.
        threads: OpenMP threads of the command, unless the user has set them; None: it chooses.
        lock: a locked file, which the command shares, so that it is locked until both have ended.
    """
    environment = dict(os.environ)
    if threads:
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    command = [sys.executable, str(REPOSITORY / script), *arguments]
    if output.log is None:
        status = _run(command, environment, output, None, marker, lock)
    else:
        with output.log.open("a", encoding="utf-8") as lines:
            status = _run(command, environment, output, lines, marker, lock)
    if status:
        status = status if status > 0 else 128 - status
        if output.log is not None and status not in STOPPED:
            print(f"{script} failed; the end of {output.log}:\n{_end(output.log)}", file=sys.stderr)
        sys.exit(status)


def _run(
    command: list[str],
    environment: dict[str, str],
    output: Output,
    lines: IO[str] | None,
    marker: tuple[Path, str] | None,
    lock: IO[str] | None,
) -> int:
    """Run a command to its end, or to this process's end, however that happens; return its status."""
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdout=lines,
        stderr=lines and subprocess.STDOUT,
        pass_fds=(lock.fileno(),) if lock else (),
        preexec_fn=functools.partial(end_with_parent, os.getpid()),
    )
    RUNNING.add(process)
    try:
        with signals_to_commands():
            if ENDING.is_set():
                process.terminate()
            while True:
                status = _wait(process)
                # Early, so that a run is known, and resumed, whatever ends this process.
                if marker and marker[0].parent.is_dir() and not marker[0].is_file():
                    write_text(*marker)
                if status is not None:
                    return status
                if output.look:
                    output.look()
    finally:
        RUNNING.discard(process)


def _wait(process: subprocess.Popen) -> int | None:
    """Wait a moment; return the process's status if it has ended."""
    try:
        return process.wait(LOOK_EVERY_S)
    except subprocess.TimeoutExpired:
        return None


def end_commands() -> None:
    """Send SIGTERM to the commands that run; they may finish their step and save."""
    ENDING.set()
    for process in tuple(RUNNING):
        process.terminate()


@contextmanager
def signals_to_commands() -> Iterator[None]:
    """Leave Ctrl-C and SIGTERM to the commands that run: this process waits for them. Only a main thread can do so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ENDING.clear()
    # A terminal sends Ctrl-C to all processes. This one does nothing; the commands would inherit SIG_IGN.
    before = signal.signal(signal.SIGTERM, lambda *_: end_commands()), signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def _end(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:])
