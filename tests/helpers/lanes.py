"""The fast lane: `pytest -m "not slow"` runs every test that trains nothing and starts no process.

The lane holds itself: a test without the mark `slow` fails when it starts a process or makes a step of an optimizer.
"""

import contextlib
import sys
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec")
# Asked for the revision; for the processor, when h5py is imported; for a library, when its wrapper is imported.
NOT_COUNTED = ("git", "uname", "/sbin/ldconfig")
allowed = True


def watch() -> None:
    """Watch this process from now on."""
    sys.addaudithook(_on_event)
    start = BaseProcess.start

    def watched_start(self: BaseProcess) -> None:
        _on_event("os.fork", (self,))  # the module's own ways to start a process raise no event
        start(self)

    BaseProcess.start = watched_start
    register_optimizer_step_pre_hook(_on_step)


@contextlib.contextmanager
def slow_allowed(is_slow: bool) -> Iterator[None]:
    """Allow what takes long, or not, while a test runs with its fixtures."""
    global allowed
    allowed = is_slow
    try:
        yield
    finally:
        allowed = True


def _on_event(event: str, arguments: tuple) -> None:
    if not allowed and event in STARTS and not (event == "subprocess.Popen" and arguments[1][0] in NOT_COUNTED):
        raise AssertionError(f"a process is started ({event} {arguments[:2]}): mark the test slow")


def _on_step(optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
    if not allowed:
        raise AssertionError("something is trained: mark the test slow")
