"""A phase in a fork behaves as one in a new interpreter: arguments, threads, log, and how it ends."""

import atexit
import os
import signal
import sys

import pytest
import torch

from mmpt.superb import phases

pytestmark = pytest.mark.slow


def run(monkeypatch, tmp_path, main, threads=1) -> tuple[int, str]:
    """Return the exit status and the log of a fork that runs `main` in place of the stock runner."""

    def with_own_streams(argv):
        """Undo in the fork that pytest captures what is printed."""
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)
        return main(argv)

    monkeypatch.setattr(phases.launcher, "main", with_own_streams)
    with (tmp_path / "log").open("wb") as log:
        status = phases.in_fork(["-d", "ks"], threads, log)
    return status, (tmp_path / "log").read_text()


def test_it_gets_arguments_and_threads(monkeypatch, tmp_path):
    def main(argv):
        print(argv, sys.argv[1:], torch.get_num_threads(), os.environ["OMP_NUM_THREADS"])
        print("to standard error", file=sys.stderr)
        return 0

    threads = torch.get_num_threads() + 2
    status, log = run(monkeypatch, tmp_path, main, threads)
    assert status == 0
    assert sorted(log.splitlines()) == sorted(
        [f"{['-d', 'ks']} {['-d', 'ks']} {threads} {threads}", "to standard error"]
    )


def test_its_end_is_reported(monkeypatch, tmp_path):
    def fail(argv):
        raise ValueError("no such thing")

    def be_killed(argv):
        os.kill(os.getpid(), signal.SIGKILL)

    assert run(monkeypatch, tmp_path, lambda argv: 3) == (3, "")
    assert run(monkeypatch, tmp_path, lambda argv: sys.exit("no")) == (1, "no\n")
    assert run(monkeypatch, tmp_path, be_killed) == (-signal.SIGKILL, "")
    status, log = run(monkeypatch, tmp_path, fail)
    assert status == 1 and log.endswith("ValueError: no such thing\n")


def test_it_runs_at_its_end_what_it_registered_and_nothing_else(monkeypatch, tmp_path):
    def main(argv):
        atexit.register(print, "the phase's own")
        raise ValueError

    def parents() -> None:
        print("its parent's")

    atexit.register(parents)
    try:
        _, log = run(monkeypatch, tmp_path, main)
    finally:
        atexit.unregister(parents)
    assert "the phase's own" in log and "its parent's" not in log
