"""What a command line says of tasks, data and machine, read for the jobs of a run."""

import argparse
import os
from pathlib import Path

from mmpt.superb.jobs import Options
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.launcher import best_device
from mmpt.upstream.s3prl_runner.overrides import read
from mmpt.upstream.s3prl_runner.tasks import TASKS, find_task

SLURM_CPUS = 8  # of a job, where --slurm does not say


def add_data_arguments(group) -> None:
    """What is read: the options that run.py and check_data.py share."""
    group.add_argument(
        "--tasks", default=",".join(task.name for task in TASKS), metavar="LIST", help="default: %(default)s"
    )
    group.add_argument(
        "--data-root", metavar="DIR", help="folder of the corpora; default: data.yaml, else the built samples"
    )
    group.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="another YAML, such as asr=downstream_configs/asr_960.yaml",
    )
    group.add_argument("--lexicon", nargs="+", metavar="FILE", help="pr: other lexicons (see run_downstream.py --help)")


def read_tasks(text: str) -> list[str]:
    """The tasks asked for, by our names, in the order given."""
    tasks = []
    for name in filter(None, text.split(",")):
        task = find_task(name.strip())
        if task is None:
            raise InputError(f"--tasks: no task is called '{name}'; there are {', '.join(item.name for item in TASKS)}")
        tasks.append(task.name)
    if not tasks:
        raise InputError("--tasks is empty")
    return list(dict.fromkeys(tasks))


def read_data_options(arguments: argparse.Namespace, tasks: list[str]) -> dict:
    """The fields of Options that say what is read.

    Raises:
        InputError: something is not there, or for a task that is not asked for.
    """
    if arguments.data_root and not Path(arguments.data_root).expanduser().is_dir():
        raise InputError(f"--data-root {arguments.data_root}: no such folder")
    if arguments.lexicon and "pr" not in tasks:
        raise InputError("--lexicon is for the task pr")
    configs = dict(read_pair(text, "--config") for text in arguments.config)
    for task, file in configs.items():
        if task not in tasks or not Path(file).is_file():
            raise InputError(
                f"--config {task}={file}: " + ("no such file" if task in tasks else f"'{task}' is not among --tasks")
            )
    return {
        "data_root": absolute(arguments.data_root),
        "lexicon": tuple(absolute(file) for file in arguments.lexicon or ()),
        "configs": tuple((task, absolute(file)) for task, file in configs.items()),
    }


def read_options(arguments: argparse.Namespace, tasks: list[str]) -> Options:
    """What all jobs of run.py have in common."""
    if arguments.limit is not None and arguments.limit < 1 or arguments.jobs < 1:
        raise InputError("--limit and --jobs must be at least 1")
    if arguments.cache and arguments.fine_tune:
        raise InputError("--cache keeps the states of a frozen encoder: leave out either it or --fine-tune")
    on_slurm = arguments.executor == "slurm"
    device = arguments.device or ("cuda" if on_slurm else best_device())
    cores = SLURM_CPUS if on_slurm else max(1, (os.cpu_count() or 1) // arguments.jobs)
    return Options(
        **read_data_options(arguments, tasks),
        device=device,
        cache=absolute(arguments.cache),
        cache_dtype=arguments.cache_dtype,
        cache_limit=arguments.cache_limit,
        frame_hop=arguments.frame_hop,
        limit=arguments.limit,
        fine_tune=arguments.fine_tune,
        settings=tuple(read_pair(text, "--set") for text in arguments.set),
        workers=arguments.workers,
        threads=cores
        if device == "cuda" or arguments.data_root
        else 1,  # the samples' small models are slower on several
    )


def read_pair(text: str, flag: str) -> tuple[str, str]:
    """KEY=VALUE as S3PRL's `-o` could hold it; InputError for anything else."""
    key, mark, value = text.partition("=")
    if not mark or not key or not value:
        raise InputError(f"{flag} {text}: not of the form KEY=VALUE")
    read(text)  # S3PRL could not take it apart
    return key, value


def absolute(path: str | None) -> str | None:
    """The path from the root, so that jobs find it from anywhere."""
    return None if path is None else str(Path(path).expanduser().absolute())
