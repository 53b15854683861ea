"""Runs jobs a few at a time, here or on a Slurm cluster, both by submitit; what is done is left alone.

submitit pickles each job for the process that runs it, under `submitit/` of the output folder. What comes back is read from
the jobs' own JSON files: nothing is unpickled here.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import submitit
import torch
from tqdm import tqdm

from mmpt.superb.jobs import Job
from mmpt.superb.worker import work
from mmpt.upstream.errors import InputError

POLL_S = 0.5
LOCAL_TIMEOUT_MIN = 60 * 24 * 365  # submitit would end a local job after five minutes


class Work:
    """What submitit runs. Told by Slurm that its time is over, it is queued again and goes on from its newest checkpoint.

    Args:
        gpu: to use of this machine's; None on the CPU. is_local: whether it runs on this machine.
    """

    def __init__(self, job: Job, evaluate: bool, is_local: bool, gpu: str | None):
        self.job, self.evaluate, self.is_local, self.gpu = job, evaluate, is_local, gpu

    def __call__(self) -> None:
        if self.is_local:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit has it ignored, for the sake of Slurm
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        work(self.job, self.evaluate)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        return submitit.helpers.DelayedSubmission(self)


def executor_for(kind: str, out: Path, slurm: dict[str, str], cpus: int, gpus: int) -> submitit.AutoExecutor:
    """Submitit's executor. `slurm`: sbatch options without dashes, such as partition or time (minutes).

    Raises:
        InputError: Slurm is not here, or does not know an option.
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
    defaults = {"cpus_per_task": cpus, "slurm_time": 24 * 60, "name": "superb"} | (
        {"gpus_per_node": gpus} if gpus else {}
    )
    try:
        executor.update_parameters(**{**defaults, **options})
    except (NameError, ValueError, AssertionError) as error:
        raise InputError(f"--slurm: {error}") from None
    return executor


def execute(
    jobs: list[Job],
    evaluate: bool,
    executor: submitit.AutoExecutor,
    at_a_time: int,
    said: Callable[[Job], str],
    title: str,
) -> list[Job]:
    """Runs the jobs that are not done; returns those that failed.

    Args:
        evaluate: score the best checkpoint on test, too.
        at_a_time: running or queued.
        said: one line about a job that is done.
    """
    done = [job for job in jobs if (job.result() if evaluate else job.trained())]
    waiting = [job for job in jobs if job not in done]
    waiting.sort(key=lambda job: -job.steps)  # the longest first, so that no processor idles at the end
    before = f", {len(done)} done before" if done else ""
    if not waiting:
        return []
    running: dict[Job, submitit.Job] = {}
    is_local = executor.cluster == "local"
    gpus = visible_gpus() if is_local and jobs[0].options.device == "cuda" else []
    seen = {job: job.step() for job in waiting}
    total = sum(job.steps for job in waiting)
    with tqdm(
        total=total,
        initial=sum(seen.values()),
        unit="step",
        desc=f"{title}: {len(waiting)} jobs{before}",
        dynamic_ncols=True,
    ) as bar:
        failed, given = [], {}
        try:
            while waiting or running:
                while waiting and len(running) < at_a_time:
                    job = waiting.pop(0)
                    gpu = (
                        min(gpus, key=lambda gpu: sum(given[other] == gpu for other in running)) if gpus else None
                    )  # the least busy one
                    given[job] = gpu
                    running[job] = submit(executor, Work(job, evaluate, is_local, gpu))
                time.sleep(POLL_S)
                for job, handle in list(running.items()):
                    step = job.step()
                    if step > seen[job]:
                        bar.update(step - seen[job])
                        seen[job] = step
                    if handle.done():
                        del running[job]
                        if job.result() if evaluate else job.trained():
                            bar.write(said(job))
                        else:
                            failed.append(job)
                            bar.write(f"FAILED: {job.failure() or f'{job.name}, see {handle.paths.folder}'}")
        except BaseException:
            for handle in running.values():
                if is_local:
                    os.kill(int(handle.job_id), signal.SIGTERM)  # its number is that of its process
                else:
                    handle.cancel(check=False)
            bar.write(f"{len(running)} jobs were ended; the same command goes on with them")
            raise
    return failed


def submit(executor: submitit.AutoExecutor, what: Work) -> submitit.Job:
    """Submits; Ctrl-C, which a terminal sends to every process, is for this one alone."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return executor.submit(what)
    finally:
        signal.signal(signal.SIGINT, before)


def visible_gpus() -> list[str]:
    """Numbers or names of the GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (
        [name.strip() for name in named.split(",")]
        if named
        else [str(number) for number in range(torch.cuda.device_count())]
    )
