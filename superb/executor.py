"""Run several jobs at a time, here or on a Slurm cluster, both by submitit. Finished jobs are left alone.

submitit pickles each job for the process that runs it, below `submitit/` of the output folder. Results come back in the
jobs' own JSON files: nothing is unpickled here.
"""

import os
import shutil
import signal
import time
from pathlib import Path

import submitit
import torch

from mmpt.superb.jobs import Job
from mmpt.superb.printout import job_line
from mmpt.superb.worker import work
from mmpt.upstream.errors import InputError
from mmpt.upstream.progress import Progress

POLL_S = 0.5
LOCAL_TIMEOUT_MIN = 60 * 24 * 365  # submitit would end a local job after five minutes


class Work:
    """What submitit runs. When Slurm's time limit comes, it is queued again, and resumes from its newest checkpoint.

    Args:
        is_local: True if it runs on this machine.
        gpu: the one of this machine's to use; None on the CPU.
    """

    def __init__(self, job: Job, evaluate: bool, is_local: bool, gpu: str | None):
        self.job, self.evaluate, self.is_local, self.gpu = job, evaluate, is_local, gpu

    def __call__(self) -> None:
        if self.is_local:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit ignores it, for the sake of Slurm
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        work(self.job, self.evaluate)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        return submitit.helpers.DelayedSubmission(self)


def executor_for(kind: str, out: Path, slurm: dict[str, str], cpus: int, gpus: int) -> submitit.AutoExecutor:
    """Return submitit's executor. `slurm`: sbatch options without dashes, such as partition or time (minutes).

    Raises:
        InputError: Slurm is not available, or does not know an option.
    """
    if kind == "slurm" and shutil.which("srun") is None:
        raise InputError("--executor slurm: there is no srun here; on a machine without Slurm use --executor local")
    executor = submitit.AutoExecutor(folder=out / "submitit" / "%j", cluster=kind)
    if kind == "local":
        executor.update_parameters(timeout_min=LOCAL_TIMEOUT_MIN, name="superb")
        return executor
    options = {
        f"slurm_{key.replace('-', '_')}": int(value) if value.isdigit() else value for key, value in slurm.items()
    }
    defaults = {"cpus_per_task": cpus, "slurm_time": 24 * 60, "name": "superb"}
    defaults |= {"gpus_per_node": gpus} if gpus else {}
    try:
        executor.update_parameters(**{**defaults, **options})
    except (NameError, ValueError, AssertionError) as error:
        raise InputError(f"--slurm: {error}") from None
    return executor


def execute(jobs: list[Job], evaluate: bool, executor: submitit.AutoExecutor, at_a_time: int, title: str) -> list[Job]:
    """Run the jobs that are not done, the longest first; return those that failed.

    Args:
        evaluate: test the best checkpoint too.
        at_a_time: jobs that run or are queued.
        title: of the progress bar.
    """
    waiting = sorted((job for job in jobs if not job.is_done(evaluate)), key=lambda job: -job.steps)
    if not waiting:
        return []
    done = len(jobs) - len(waiting)
    queue = Queue(executor, evaluate, visible_gpus() if jobs[0].options.device == "cuda" else [])
    steps, failed = {job: job.step() for job in waiting}, []
    with Progress(
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
                time.sleep(POLL_S)
                for job, handle in list(queue.running.items()):
                    step = job.step()
                    if step > steps[job]:
                        bar.update(step - steps[job])
                        steps[job] = step
                    if not handle.done():
                        continue
                    queue.forget(job)
                    if job.is_done(evaluate):
                        bar.write(job_line(job))
                    else:
                        failed.append(job)
                        bar.write(f"FAILED: {job.failure() or f'{job.name}, see {handle.paths.folder}'}")
        except BaseException:
            queue.cancel()
            bar.write(f"{len(queue.running)} jobs were ended; the same command resumes them")
            raise
    return failed


class Queue:
    """The jobs that run or are queued, spread over the GPUs. `gpus`: this machine's; empty on the CPU."""

    def __init__(self, executor: submitit.AutoExecutor, evaluate: bool, gpus: list[str]):
        self.executor, self.evaluate = executor, evaluate
        self.is_local = executor.cluster == "local"
        self.gpus = gpus if self.is_local else []
        self.running: dict[Job, submitit.Job] = {}
        self.gpu_of: dict[Job, str] = {}

    def submit(self, job: Job) -> None:
        """Submit a job to the least busy GPU."""
        gpu = min(self.gpus, key=list(self.gpu_of.values()).count) if self.gpus else None
        self.running[job] = submit(self.executor, Work(job, self.evaluate, self.is_local, gpu))
        if gpu is not None:
            self.gpu_of[job] = gpu

    def forget(self, job: Job) -> None:
        """Take out a job that has ended."""
        del self.running[job]
        self.gpu_of.pop(job, None)

    def cancel(self) -> None:
        """End all jobs."""
        for handle in self.running.values():
            if self.is_local:
                os.kill(int(handle.job_id), signal.SIGTERM)  # its number is that of its process
            else:
                handle.cancel(check=False)


def submit(executor: submitit.AutoExecutor, what: Work) -> submitit.Job:
    """Submit, with Ctrl-C ignored: a terminal sends it to every process, and it is meant for this one alone."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return executor.submit(what)
    finally:
        signal.signal(signal.SIGINT, before)


def visible_gpus() -> list[str]:
    """Return the numbers or names of the GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",")]
    return [str(number) for number in range(torch.cuda.device_count())]
