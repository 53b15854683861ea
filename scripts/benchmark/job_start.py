"""Time stage 3 with jobs forked from one server against jobs that import everything anew, and compare their figures.

Both run the same encoders and tasks from the start to the test scores, one way after the other. The forks go first, so
that the other way has the recordings in the system's memory. Each way's time includes that of its own start. On a busy
machine compare the CPU times, which depend less on what else it does.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mmpt.scripts.samples.locate import built_samples
from mmpt.superb.encoders import ScoredEncoder, read_encoders
from mmpt.superb.options import Options, add_encoder_flags, read_tasks
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import remove_folder
from mmpt.upstream.output import check_output
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner.registration import UPSTREAM
from mmpt.upstream.s3prl_runner.tasks import TASKS

if TYPE_CHECKING:
    from mmpt.superb.executor import Executor
    from mmpt.superb.jobs import Job

EXAMPLES = """\
examples:
  python scripts/benchmark/job_start.py                            four encoders, five tasks, the samples' settings
  python scripts/benchmark/job_start.py --tasks ks,sd --steps 20 --encoder fbank           a minute on two cores
  python scripts/benchmark/job_start.py --ckpt a/encoder.pt --ckpt b/encoder.pt --encoder fbank
"""
FOLDERS = {"forked", "alone", "encoders", "submitit", "jobs.log"}  # what it makes
UNTRAINED = 3  # encoders that are made if none is named
PREDICTIONS = ("experiment/*_predict.*", "*/scoring/predictions/*.h5", "experiment/*.ark")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_encoder_flags(p)
    p.add_argument(
        "--tasks",
        default=",".join(task.name for task in TASKS),
        metavar="LIST",
        help="tasks of SUPERB (default: %(default)s)",
    )
    p.add_argument("--steps", type=int, metavar="N", help="of each training (default: those of the samples' settings)")
    p.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep states, as the quickstart does; each way its own (default: yes)",
    )
    p.add_argument("--data-root", type=Path, metavar="DIR", help="corpora; default: the built samples")
    p.add_argument(
        "--jobs",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="at a time, each with one thread (default: %(default)s)",
    )
    p.add_argument(
        "--out",
        type=Path,
        default=REPOSITORY / "runs" / "benchmark" / "job_start",
        metavar="DIR",
        help="a folder for the jobs, emptied first (default: runs/benchmark/job_start)",
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status, 1 if jobs failed or figures differ."""
    options = parser().parse_args(argv)
    tasks = read_tasks(options.tasks)
    if options.jobs < 1 or (options.steps is not None and options.steps < 1):
        raise InputError("--jobs and --steps must be at least 1")
    if options.data_root is not None and not options.data_root.is_dir():
        raise InputError(f"--data-root {options.data_root}: no such folder")
    options.out = out = check_output(options.out, "runs/benchmark/NAME").absolute()
    if out.exists() and not FOLDERS.issuperset(path.name for path in out.iterdir()):
        raise InputError(f"--out {out}: holds something else than this benchmark's jobs; give another folder")
    encoders = read_encoders(options.encoders) if options.encoders else None

    from mmpt.superb.executor import executor_for
    from mmpt.superb.submitted_jobs import jobs_in_new_processes

    remove_folder(out)
    encoders = encoders or make_encoders(out)
    forked, alone = (jobs_of(way, options, tasks, encoders) for way in ("forked", "alone"))
    print(f"{len(encoders)} encoders × {len(tasks)} tasks, {options.jobs} jobs at a time", flush=True)
    forked_s = run(forked, executor_for("local", out, {}, cpus=1, gpus=0), options.jobs, "forks of one server")
    alone_s = run(alone, jobs_in_new_processes(out), options.jobs, "new processes")
    for what, fast, slow in zip(("time", "CPU time"), forked_s, alone_s, strict=True):
        print(f"{what}: forks of one server {fast:.0f} s, new processes {slow:.0f} s: {fast / slow:.0%}")
    differing = [job.name for job, other in zip(forked, alone, strict=True) if not same(job, other)]
    for name in differing:
        print(f"{name}: figures or predictions differ")
    if not differing:
        print(f"figures and predictions of all {len(forked)} jobs are equal")
    return int(bool(differing))


def make_encoders(out: Path) -> list[ScoredEncoder]:
    """Return log-mel features and untrained encoders: weights change no time."""
    from mmpt.scripts.export import write_untrained

    names = [f"untrained{seed}" for seed in range(UNTRAINED)]
    for seed, name in enumerate(names):
        write_untrained("tiny", seed, out / "encoders" / f"{name}.pt")
    files = [out / "encoders" / f"{name}.pt" for name in names]
    return [ScoredEncoder("fbank", "fbank"), *(ScoredEncoder(file.stem, UPSTREAM, file) for file in files)]


def jobs_of(way: str, options: argparse.Namespace, tasks: list[str], encoders: list[ScoredEncoder]) -> list["Job"]:
    """Return the jobs of a way, in a folder of its own."""
    from mmpt.superb.jobs import make_jobs

    folder = options.out / way
    common = Options(
        data_root=str(options.data_root.absolute()) if options.data_root else None,
        cache=str(folder / "states") if options.cache else None,
        limit=options.steps,
        samples=built_samples,
    )
    return make_jobs(tasks, encoders, [None], [1337], folder, common)


def run(jobs: list["Job"], executor: "Executor", at_a_time: int, title: str) -> tuple[float, float]:
    """Return the seconds that all jobs take, and the CPU's. Raises InputError if one fails."""
    from mmpt.superb.executor import execute

    for job in jobs:
        job.prepare()
    started, cpu = time.perf_counter(), cpu_seconds()
    failed = execute(jobs, True, executor, at_a_time, title)
    spent = time.perf_counter() - started
    executor.end_all()  # a server's own time counts once it has ended
    if failed:
        raise InputError(f"{', '.join(job.name for job in failed)} failed, see above")
    return spent, cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Return the CPU time of all processes that this one started, and they in turn, as far as they have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def same(job: "Job", other: "Job") -> bool:
    """Return True if dev curve, layer weights, scores and every byte of the predictions are equal."""
    return (figures(job), predictions(job)) == (figures(other), predictions(other))


def figures(job: "Job") -> tuple[dict, dict | None]:
    """Return what training and evaluation left, without the software: a commit may come between both ways."""
    return {**(job.trained() or {}), "software": None}, job.result()


def predictions(job: "Job") -> dict[str, bytes]:
    """Return the content of the files of predictions, by their names in the job's folder."""
    files = [file for pattern in PREDICTIONS for file in job.folder.glob(pattern)]
    return {str(file.relative_to(job.folder)): file.read_bytes() for file in files}


if __name__ == "__main__":
    sys.exit(main())
