"""Work that kills its process. It is a separate module, so that worker processes import nothing else."""

import os
import signal


def work(clip) -> str:
    """Return the clip's id; the clip named killer ends the process, as a decoder's crash would."""
    if clip.id == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    return clip.id
