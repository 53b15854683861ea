"""A Python whose processes are forked from one that has everything loaded: `sys.executable` during the tests.

A test that starts `[sys.executable, ...]` saves the 3 to 6 s that importing torch and S3PRL takes, and so does code of
the project or of a library that starts Python again (torchrun, submitit, the jobs of stage 3). A test of the start
itself (what is imported, what a missing library does) takes `REAL_PYTHON`.
"""

import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from helpers.python_stand_in import send_request

HERE = Path(__file__).resolve().parent
REAL_PYTHON = sys.executable
STAND_IN = """#!{python} -SEs
import sys
sys.executable = {python!r}
sys.path.insert(0, {here!r})
from python_stand_in import main
main({address!r})
"""


class ForkedPython:
    """One test process's stand-in for Python, and the server that all processes of a test run share.

    Args:
        folder: of the server, the same for all processes of a test run.
        worker: the test process's name.
    """

    def __init__(self, folder: Path, worker: str):
        self.folder, self.address, self.program = folder, folder / "server", folder / worker / "python"

    def write(self) -> None:
        """Write the stand-in."""
        text = STAND_IN.format(python=REAL_PYTHON, here=str(HERE), address=str(self.address))
        self.program.parent.mkdir()
        self.program.write_text(text)
        self.program.chmod(0o755)

    def start(self, owner: int) -> None:
        """Start the server, which ends with the process `owner`, if none runs. It accepts commands at once."""
        with (self.folder / "lock").open("w") as lock, (self.folder / "server.log").open("ab") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.address.exists():
                return
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            command = [REAL_PYTHON, str(HERE / "fork_server.py"), str(self.address), str(owner)]
            server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            while not self.address.exists():
                assert server.poll() is None, (self.folder / "server.log").read_text()
                time.sleep(0.01)

    def wait_for_all(self) -> None:
        """Wait until every process that was started with this stand-in has ended."""
        with socket.socket(socket.AF_UNIX) as server:
            server.settimeout(60)
            server.connect(str(self.address))
            send_request(server, [str(self.program), [], "", {}, []])
            assert server.recv(1) == b""
