"""Jobs of this machine, each in a fork of one server that has PyTorch and S3PRL loaded (`job_server`)."""

import multiprocessing
import os
import signal
import subprocess
import sys
import weakref
from multiprocessing.connection import Connection
from pathlib import Path

from mmpt.superb.jobs import Job
from mmpt.upstream.errors import InputError

SERVE = "from mmpt.superb.job_server import main; main()"  # a file run by itself would put its folder on Python's path


class ForkedJobs:
    """The jobs, and their server, which starts with the first one and ends with this object or this process.

    Args:
        gpus: of each job, 0 or 1.
        log: a file for what the server and its jobs print; the phases have their own.
    """

    is_local = True

    def __init__(self, gpus: int, log: Path):
        self.gpus, self.log = gpus, log
        self.running: dict[int, Job] = {}  # by the number that the server knows them by
        self.submitted = 0
        self.connection: Connection | None = None

    def submit(self, job: Job, evaluate: bool, gpu: str | None) -> None:
        """Start a job. `gpu`: the one to use; None on the CPU."""
        self.connection = self.connection or self._start_server()
        self.submitted += 1
        self.running[self.submitted] = job
        try:
            self.connection.send((self.submitted, job, evaluate, gpu))
        except ConnectionError:
            raise self._server_has_ended() from None

    def ended(self, seconds: float) -> dict[Job, str]:
        """Wait for the end of a job, at most so long; return those that have ended, and what is known of their ends."""
        assert self.connection is not None
        jobs: dict[Job, str] = {}
        try:
            while self.connection.poll(0 if jobs else seconds):
                number, status = self.connection.recv()
                jobs[self.running.pop(number)] = f"exit status {status}, see {self.log}"
        except (EOFError, ConnectionError):
            raise self._server_has_ended() from None
        return jobs

    def end_all(self) -> None:
        """End all jobs, with the server."""
        if self.connection is not None:
            self._end()
        self.running, self.connection = {}, None

    def _start_server(self) -> Connection:
        """Start it; it takes messages at once.

        A terminal sends Ctrl-C to every process, and it is meant for this one alone. With one thread, no library starts
        more of them while the server loads: a phase sets its own number.
        """
        here, there = multiprocessing.Pipe()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with self.log.open("ab") as output:
                server = subprocess.Popen(
                    [sys.executable, "-c", SERVE, str(there.fileno()), str(self.gpus)],
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                    pass_fds=[there.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
        finally:
            signal.signal(signal.SIGINT, before)
        there.close()
        self._end = weakref.finalize(self, _end, server, here)
        return here

    def _server_has_ended(self) -> InputError:
        return InputError(f"the process that starts the jobs has ended, and they with it; see {self.log}")


def _end(server: subprocess.Popen, connection: Connection) -> None:
    server.terminate()  # Linux ends its jobs
    server.wait()
    connection.close()
