"""Fork a process for each job from this one, which has PyTorch, S3PRL and the project loaded.

    python -c "from mmpt.superb.job_server import main; main()" SOCKET GPUS

SOCKET is the number of an inherited file, with `forked_jobs` at its other end; each job uses 0 or 1 GPUS. A message is
(number, job, evaluate, GPU); when the job has ended, (number, exit status) is the answer. A job that crashes takes
neither the server nor another job with it. All of them end when the other side does.
"""

import contextlib
import gc
import importlib
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path

import torch

from mmpt.superb import phases
from mmpt.superb.jobs import Job
from mmpt.superb.worker import work
from mmpt.upstream.child_process import end_with_parent
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import repairs
from mmpt.upstream.s3prl_runner.tasks import TASKS

LOADED = (
    "s3prl.run_downstream",
    *(f"s3prl.downstream.{task.downstream}.expert" for task in TASKS),
    "mmpt.upstream.mmpt_av.expert",
    "mmpt.upstream.s3prl_runner.distributed",
    "mmpt.upstream.s3prl_runner.watch",
)
THREADS = Path("/proc/self/task")  # a folder with an entry for each, those of C libraries among them


def main() -> None:
    """Load everything, then serve."""
    connection, gpus = Connection(int(sys.argv[1])), int(sys.argv[2])
    with gpus_unseen(gpus):
        load()
    serve(connection, how_phases_start())


def load() -> None:
    """Import what the phases of all tasks need. One that needs what cannot be imported fails later, with its reason."""
    repairs.apply()
    for name in LOADED:
        try:
            importlib.import_module(name)
        except Exception:
            traceback.print_exc()
    gc.collect()
    gc.freeze()  # each fork's garbage collection would write to, and so copy, all of these objects


@contextlib.contextmanager
def gpus_unseen(gpus: int) -> Iterator[None]:
    """Answer how many GPUs there are without asking CUDA's driver, which works in no fork once it has been asked.

    S3PRL asks as it is imported (s3prl/upstream/log_stft/expert.py:25). It gets the answer that it would get in a
    job's own process. `gpus`: of each job, 0 or 1.
    """
    answers: dict[str, Callable[[], int]] = {"is_available": lambda: gpus > 0, "device_count": lambda: gpus}
    real = {name: getattr(torch.cuda, name) for name in answers}
    vars(torch.cuda).update(answers)
    try:
        yield
    finally:
        vars(torch.cuda).update(real)


def how_phases_start() -> phases.Start:
    """Return `in_fork`, unless an import has started a thread: a fork lacks it, and may wait for it for ever."""
    if len(list(THREADS.iterdir())) == 1:
        return phases.in_fork
    print("a library has started a thread: each training and evaluation imports everything again", flush=True)
    return phases.in_new_process


def serve(connection: Connection, start: phases.Start) -> None:
    """Fork for each message, and report how the forks end, until the other side has gone."""
    running: dict[int, ForkProcess] = {}
    try:
        while True:
            ready = wait([connection, *(process.sentinel for process in running.values())])
            for number, process in list(running.items()):
                if process.sentinel in ready:
                    process.join()
                    del running[number]
                    connection.send((number, process.exitcode))
            if connection in ready:
                number, *what = connection.recv()
                fork = multiprocessing.get_context("fork")
                running[number] = fork.Process(target=run_job, args=(connection, os.getpid(), start, *what))
                running[number].start()
    except (EOFError, ConnectionError):
        for process in running.values():
            process.terminate()


def run_job(
    connection: Connection, server: int, start: phases.Start, job: Job, evaluate: bool, gpu: str | None
) -> None:
    """Work at a job, in its fork. If bad input ends it, the reason is in its failed.txt."""
    end_with_parent(server)
    connection.close()  # the other side would not notice the server's end while this one is open
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        work(job, evaluate, start)
    except InputError:
        sys.exit(1)
