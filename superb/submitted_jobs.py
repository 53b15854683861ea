"""Jobs that submitit starts: on a Slurm cluster, or here. Each job and each of its phases imports everything anew.

submitit pickles each job for the process that runs it, below `submitit/` of the output folder.
"""

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import submitit

from mmpt.superb.jobs import Job
from mmpt.superb.worker import work
from mmpt.upstream.errors import InputError

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


class SubmittedJobs:
    """The jobs of one of submitit's executors."""

    def __init__(self, executor: submitit.AutoExecutor):
        self.executor = executor
        self.is_local = executor.cluster == "local"
        self.running: dict[Job, submitit.Job] = {}

    def submit(self, job: Job, evaluate: bool, gpu: str | None) -> None:
        """Submit, with Ctrl-C ignored: a terminal sends it to every process, and it is meant for this one alone."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.running[job] = self.executor.submit(Work(job, evaluate, self.is_local, gpu))
        finally:
            signal.signal(signal.SIGINT, before)

    def ended(self, seconds: float) -> dict[Job, str]:
        """Wait so long; return the jobs that have ended, and where to look for the reason."""
        time.sleep(seconds)
        done = [job for job, handle in self.running.items() if handle.done()]
        return {job: f"see {self.running.pop(job).paths.folder}" for job in done}

    def end_all(self) -> None:
        """End all jobs."""
        for handle in self.running.values():
            if self.is_local:
                os.kill(int(handle.job_id), signal.SIGTERM)  # its number is that of its process
            else:
                handle.cancel(check=False)
        self.running = {}


def slurm_jobs(folder: Path, options: dict[str, str], cpus: int, gpus: int) -> SubmittedJobs:
    """Return an executor for Slurm. `options`: of sbatch, without dashes, such as partition or time (minutes).

    Raises:
        InputError: Slurm is not available, or does not know an option.
    """
    if shutil.which("srun") is None:
        raise InputError("--executor slurm: there is no srun here; on a machine without Slurm use --executor local")
    if not options.get("time", "1").isdigit():
        raise InputError(f"--slurm time={options['time']}: give minutes, as a whole number")
    executor = submitit.AutoExecutor(folder=folder / "submitit" / "%j", cluster="slurm")
    named = {
        f"slurm_{key.replace('-', '_')}": int(value) if value.isdigit() else value for key, value in options.items()
    }
    defaults: dict[str, Any] = {"cpus_per_task": cpus, "slurm_time": 24 * 60, "name": "superb"}
    defaults |= {"gpus_per_node": gpus} if gpus else {}
    # Slurm 22.05 to 23.02 gives a step one core, unless srun asks for the job's, too.
    defaults |= {"slurm_srun_args": [f"--cpus-per-task={named.get('slurm_cpus_per_task', cpus)}"]}
    try:
        executor.update_parameters(**{**defaults, **named})
    except (NameError, ValueError, AssertionError) as error:
        raise InputError(f"--slurm: {error}") from None
    return SubmittedJobs(executor)


def jobs_in_new_processes(folder: Path) -> SubmittedJobs:
    """Return an executor for this machine without a fork server, to compare with one that has it."""
    executor = submitit.AutoExecutor(folder=folder / "submitit" / "%j", cluster="local")
    executor.update_parameters(timeout_min=LOCAL_TIMEOUT_MIN, name="superb")
    return SubmittedJobs(executor)
