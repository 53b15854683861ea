"""Work that a process may die of. A module of its own, so that the processes of a test need import nothing else."""

import os
import signal


def work(clip) -> str:
    """The clip's id; the clip named killer ends the process, as a decoder's crash would."""
    if clip.id == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    return clip.id
