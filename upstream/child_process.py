"""Processes that this project starts."""

import ctypes
import multiprocessing
import os
import signal


def end_with_parent(parent: int, signal_number: int = signal.SIGTERM) -> None:
    """Have Linux end this process when its parent ends, however that happens (prctl(2), PR_SET_PDEATHSIG).

    To Linux the parent is the thread that started this process.
    """
    ctypes.CDLL(None).prctl(1, signal_number)
    if os.getppid() != parent:  # it has ended already; a signal might meet a handler of the parent's
        os._exit(128 + signal_number)


def end_with_killed_parent() -> None:
    """Have this process, which reads batches for its parent, end if that one is killed.

    PyTorch's workers would wait forever to hand over a large batch, with their memory and the locks they inherited.
    """
    reader = multiprocessing.parent_process()
    parent = os.getppid()
    if reader is not None and parent == reader.pid:  # not so with a fork server
        end_with_parent(parent, signal.SIGKILL)
