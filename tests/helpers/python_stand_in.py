"""Stand in for the Python interpreter: hand the command to the fork server, and end as the process that it forks ends.

`helpers.forked_python` writes a short file that runs `main` with a server's address, and makes it `sys.executable`.
Only what is quick to import is used here: this file runs at each start of a process.
"""

import os
import signal
import sys
from select import select
from socket import AF_UNIX, socket

PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGALRM")
NAMES_ITS_NUMBER = "submitit.local._local"  # its log's name has the number of its process: it must be this one


def main(address: str) -> None:
    """Run the command line that follows in a forked process. Never returns."""
    argv = sys.argv[1:]
    if not can_be_forked(argv):
        os.execv(sys.executable, [sys.executable, *argv])
    server = socket(AF_UNIX)
    server.connect(address)
    ignored = [name for name in PASSED_ON if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN]
    send_request(server, [sys.argv[0], ignored, os.getcwd(), dict(os.environ), argv])
    # Python writes the number of each signal there at once, even of one that comes just before the wait begins.
    server.setblocking(False)
    signal.set_wakeup_fd(server.fileno())
    for name in set(PASSED_ON) - set(ignored):
        signal.signal(getattr(signal, name), lambda *_: None)
    select([server], [], [])
    status = server.recv(16)
    end_with(int(status) if status else 1)


def can_be_forked(argv: list[str]) -> bool:
    """Return True for `[-u] (-c CODE | -m MODULE | FILE) ...`; another option needs an interpreter of its own."""
    first, *rest = [word for word in argv if word != "-u"] or ["-"]
    return first == "-c" or (first == "-m" and rest[0] != NAMES_ITS_NUMBER) or not first.startswith("-")


def send_request(server: socket, request: list) -> None:
    """Send the request with all open files that a child inherits, in the format of fork_server.receive_request."""
    from array import array
    from socket import SCM_RIGHTS, SOL_SOCKET

    files = [int(name) for name in os.listdir("/proc/self/fd")]
    files = [number for number in files if is_inherited(number)]
    content = repr((request, files)).encode()
    server.sendmsg([len(content).to_bytes(8, "big")], [(SOL_SOCKET, SCM_RIGHTS, array("i", files))])
    server.sendall(content)


def is_inherited(number: int) -> bool:
    """Return True if a child would have this file open."""
    try:
        return os.get_inheritable(number)
    except OSError:  # the folder of open files itself, closed by now
        return False


def end_with(status: int) -> None:
    """End with this exit status, or by the signal that a negative one names."""
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)
