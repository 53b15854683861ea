"""Processes that this project starts."""

import ctypes
import os
import signal


def end_with_parent(parent: int, signal_number: int = signal.SIGTERM) -> None:
    """Have Linux end this process when its parent ends, however that happens (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal_number)
    if os.getppid() != parent:  # it has ended already; a signal might meet a handler of the parent's
        os._exit(128 + signal_number)
