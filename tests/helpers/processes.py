"""Whether a process still runs, and waiting for what it does."""

import time
from pathlib import Path

import pytest


def is_running(process: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def wait_for(condition) -> None:
    """Wait until a condition holds, at most half a minute."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited for half a minute")
