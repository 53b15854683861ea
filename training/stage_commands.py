"""Run the project's training commands, as the quickstart and the study do. A finished one is reused."""

import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mmpt.upstream.repository import REPOSITORY

LOOK_EVERY_S = 1.0
SHOWN_LINES = 20  # of a log, where a command has failed


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


def train(command: list[str], out: Path, config: Path, depends_on: str, output: Output = HERE) -> None:
    """Run a training stage, resume an interrupted one, or reuse a finished one.

    Args:
        command: the script and its options.
        out: the run's folder.
        config: its settings.
        depends_on: what else its result depends on. If this or the settings have changed, the stage starts again.
        output: where its lines go.
    """
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
    run_command(*command, "--config", str(config), "--out", str(out), marker=(marker, made_from), output=output)


def run_command(script: str, *arguments: str, marker: tuple[Path, str] | None = None, output: Output = HERE) -> None:
    """Run one of the project's commands; exit with its status if it fails.

    Ctrl-C and SIGTERM reach the command, which may finish its step and save.

    Args:
        script: from the repository's folder.
        arguments: its options.
        marker: a file, and the text to write into it however the command ends.
        output: where its lines go.
    """
    command = [sys.executable, str(REPOSITORY / script), *arguments]
    if output.log is None:
        status = _run(command, output, None)
    else:
        with output.log.open("a", encoding="utf-8") as lines:
            status = _run(command, output, lines)
    if marker and marker[0].parent.is_dir():
        marker[0].write_text(marker[1], encoding="utf-8")
    if status:
        if output.log is not None:
            print(f"{script} failed; the end of {output.log}:\n{_end(output.log)}", file=sys.stderr)
        sys.exit(status if status > 0 else 128 - status)


def _run(command: list[str], output: Output, lines: IO[str] | None) -> int:
    """Run a command to its end; return its status."""
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=lines, stderr=lines and subprocess.STDOUT)
    # A terminal sends Ctrl-C to both processes. This one ignores it and waits for the other.
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate()), signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            status = process.wait(LOOK_EVERY_S if output.look else None)
            break
        except subprocess.TimeoutExpired:
            output.look()  # type: ignore[misc]  # there is a limit of time only with it
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])
    return status


def _end(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:])
