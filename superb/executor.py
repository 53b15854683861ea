"""Run several jobs at a time, here or on a Slurm cluster. Finished jobs are left alone.

Results come back in the jobs' own JSON files.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import torch

from mmpt.superb.forked_jobs import ForkedJobs
from mmpt.superb.jobs import Job
from mmpt.superb.printout import job_line
from mmpt.superb.submitted_jobs import slurm_jobs
from mmpt.upstream.progress import Progress

POLL_S = 0.5


class Executor(Protocol):
    """What runs jobs: `ForkedJobs` and `SubmittedJobs`."""

    is_local: bool

    def submit(self, job: Job, evaluate: bool, gpu: str | None) -> None:
        """Start or queue a job. `gpu`: the one of this machine's to use; None on the CPU."""

    def ended(self, seconds: float) -> dict[Job, str]:
        """Wait for a job's end, at most so long; return those that have ended, and where to look for the reason."""

    def end_all(self) -> None:
        """End all jobs."""


def executor_for(kind: str, out: Path, slurm: dict[str, str], cpus: int, gpus: int) -> Executor:
    """Return what runs jobs: `local` or `slurm`.

    Args:
        out: a folder for what is written about the jobs' processes.
        slurm: options of sbatch, without dashes, such as partition or time (minutes).
        cpus: of each job on Slurm.
        gpus: of each job, 0 or 1.

    Raises:
        InputError: Slurm is not available, or does not know an option.
    """
    return slurm_jobs(out, slurm, cpus, gpus) if kind == "slurm" else ForkedJobs(gpus, out / "jobs.log")


class Bar(Protocol):
    """What shows the progress of jobs: `Progress`, or a part of another bar."""

    def update(self, steps: int) -> object:
        """Add steps that have been trained."""

    def write(self, line: str) -> None:
        """Print a line."""


def execute(
    jobs: list[Job],
    evaluate: bool,
    executor: Executor,
    at_a_time: int,
    title: str,
    bar_of: Callable[..., AbstractContextManager[Bar]] = Progress,
) -> list[Job]:
    """Run the jobs that are not done, the longest first; return those that failed.

    Args:
        evaluate: test the best checkpoint too.
        at_a_time: jobs that run or are queued.
        title: of the progress bar.
        bar_of: makes the bar, from the arguments of `Progress`.
    """
    waiting = sorted((job for job in jobs if not job.is_done(evaluate)), key=lambda job: -job.steps)
    if not waiting:
        return []
    done = len(jobs) - len(waiting)
    queue = Queue(executor, evaluate, visible_gpus() if jobs[0].options.device == "cuda" else [])
    steps, failed = {job: job.step() for job in waiting}, []
    with bar_of(
        total=sum(job.steps for job in waiting),
        initial=sum(steps.values()),
        unit="step",
        desc=f"{title}: {len(waiting)} jobs" + (f", {done} done before" if done else ""),
        dynamic_ncols=True,
    ) as bar:
        try:
            while waiting or queue.running:
                while waiting and len(queue.running) < at_a_time:
                    queue.submit(waiting.pop(0))
                ended = queue.ended()
                for job in [*queue.running, *ended]:
                    step = job.step()
                    if step > steps[job]:
                        bar.update(step - steps[job])
                        steps[job] = step
                for job, where in ended.items():
                    if job.is_done(evaluate):
                        bar.write(job_line(job))
                    else:
                        failed.append(job)
                        bar.write(f"FAILED: {job.failure() or f'{job.name}, {where}'}")
        except BaseException:
            executor.end_all()
            bar.write(f"{len(queue.running)} jobs were ended; the same command resumes them")
            raise
    return failed


class Queue:
    """The jobs that run or are queued, spread over the GPUs. `gpus`: this machine's; empty on the CPU."""

    def __init__(self, executor: Executor, evaluate: bool, gpus: list[str]):
        self.executor, self.evaluate = executor, evaluate
        self.gpus = gpus if executor.is_local else []
        self.running: dict[Job, str | None] = {}  # with its GPU

    def submit(self, job: Job) -> None:
        """Submit a job to the least busy GPU."""
        gpu = min(self.gpus, key=list(self.running.values()).count) if self.gpus else None
        self.executor.submit(job, self.evaluate, gpu)
        self.running[job] = gpu

    def ended(self) -> dict[Job, str]:
        """Wait for a job's end, not for long; take out those that have ended, and return them with where to look."""
        jobs = self.executor.ended(POLL_S)
        for job in jobs:
            del self.running[job]
        return jobs


def visible_gpus() -> list[str]:
    """Return the numbers or names of the GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",")]
    return [str(number) for number in range(torch.cuda.device_count())]
