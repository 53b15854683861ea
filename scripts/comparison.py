"""Trains and evaluates tasks for several encoders through S3PRL's stock runner, a few at a time."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml
from tqdm import tqdm

from mmpt.pretrain.run_folder import write_text
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import load_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.samples import REPOSITORY
from mmpt.upstream.stock.experiment import best_checkpoint, score
from mmpt.upstream.stock.tasks import find_task

TASKS = ("ks", "asr")
ENCODERS = ("fbank", "untrained", "pretrained", "midtrained")
PROGRESS = re.compile(r"overall:.*?\| *(\d+)/(\d+)")  # S3PRL's progress bar
RUNNING: set[subprocess.Popen] = set()  # ended with this process when a job fails or Ctrl-C comes
LAST_WORDS = 12  # lines of a failed job's log that are shown


@dataclass(frozen=True)
class Job:
    """One task with one encoder. `checkpoint` is None for S3PRL's own log-mel FBANK; `data` are the built samples."""

    task: str
    encoder: str
    checkpoint: Path | None
    folder: Path
    data: Path

    @property
    def config(self) -> Path:
        """The settings of the task on the samples."""
        return REPOSITORY / "downstream_configs" / "quick" / f"{self.task}.yaml"

    @property
    def steps(self) -> int:
        return yaml.safe_load(self.config.read_text(encoding="utf-8"))["runner"]["total_steps"]

    def fingerprint(self) -> str:
        """What the result hangs on: settings, encoder, data and S3PRL. A finished job with the same one is not run again."""
        encoder = file_hash(self.checkpoint) if self.checkpoint else self.encoder
        data = json.loads((self.data / "built.json").read_text(encoding="utf-8"))
        rest = f"{encoder} {data['version']} {data['sources']} {version('s3prl')}"
        return hashlib.sha256(self.config.read_bytes() + rest.encode()).hexdigest()


def compare(jobs: list[Job], workers: int) -> list[dict]:
    """Results of the jobs in their order; finished ones are reused.

    Args:
        workers: jobs at a time, one processor thread each: small models gain nothing from more.
    Raises:
        InputError: a job failed; the message has the end of its log.
    """
    todo = [job for job in jobs if finished(job) is None]
    todo.sort(key=lambda job: -job.steps)  # the longest first, so that no processor idles at the end
    if done := len(jobs) - len(todo):
        print(f"{done} of {len(jobs)} jobs were done before")
    with tqdm(total=sum(job.steps for job in todo), unit="step", desc=f"{len(todo)} jobs", dynamic_ncols=True, disable=not todo) as bar:
        lock = threading.Lock()

        def advance(steps: int) -> None:
            with lock:
                bar.update(steps)

        with ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(run_job, job, advance): job for job in todo}
            try:
                for future in as_completed(futures):
                    job, result = futures[future], future.result()
                    bar.write(f"{job.task} {job.encoder}: " + ", ".join(f"{k} {100 * v:.1f} %" for k, v in result["score"].items()))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in RUNNING:
                    process.terminate()
                raise
    return [finished(job) for job in jobs]


def finished(job: Job) -> dict | None:
    """The stored result of a job, if it is of the same settings and encoder."""
    file = job.folder / "result.json"
    if not file.is_file():
        return None
    result = json.loads(file.read_text(encoding="utf-8"))
    return result if result["fingerprint"] == job.fingerprint() else None


def run_job(job: Job, advance) -> dict:
    """Trains, evaluates the best checkpoint on test, and stores the result in the job's folder."""
    fingerprint = job.fingerprint()
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    who = ["-u", "mmpt_av", "-k", str(job.checkpoint)] if job.checkpoint else ["-u", job.encoder]
    command = ["run_downstream.py", *who, "-d", job.task, "-p", str(job.folder), "--seed", "1337", "--device", "cpu",
               "--data-root", str(job.data)]
    run_stock(job, command, "train.log", advance)
    checkpoint, is_best = best_checkpoint(job.folder, job.task)
    run_stock(job, ["run_downstream.py", "-m", "evaluate", "-e", str(checkpoint), "--device", "cpu"], "evaluate.log", lambda steps: None)
    split = find_task(job.task).test_split
    figures = score(job.folder, job.task, split)
    utterances = figures.pop("utterances")
    result = {
        "task": job.task, "encoder": job.encoder, "split": split, "score": figures, "utterances": utterances,
        "checkpoint": checkpoint.name, "checkpoint_is_best_on_dev": is_best, "steps": job.steps,
        "provenance": load_encoder(job.checkpoint).provenance if job.checkpoint else None,
        "command": shlex.join(["python", *command]), "fingerprint": fingerprint,
    }
    write_text(job.folder / "result.json", json.dumps(result, indent=2) + "\n")
    return result


def run_stock(job: Job, command: list[str], log: str, advance) -> None:
    """Runs the stock runner in a process of its own, its output in the job's folder, its steps told to `advance`."""
    seen = 0
    with (job.folder / log).open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"}, bufsize=0,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        RUNNING.add(process)
        try:
            while block := process.stdout.read(4096):
                text = block.decode(errors="replace").replace("\r", "\n")
                file.write(text)
                for step, _ in PROGRESS.findall(text):
                    advance(max(0, int(step) - seen))
                    seen = max(seen, int(step))
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
            RUNNING.discard(process)
    if process.returncode:
        lines = [line for line in (job.folder / log).read_text(encoding="utf-8").splitlines() if line.strip()]
        raise InputError(f"{job.task} with {job.encoder} failed, log in {job.folder / log}: " + " | ".join(lines[-LAST_WORDS:]))
