"""The options of a SUPERB run: declared for the command line, and read into one object. Imports no torch."""

import argparse
import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpt.superb.encoders import CKPT, ENCODER, EXPERT_FLAG
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import FRAME_HOPS
from mmpt.upstream.repository import find_samples
from mmpt.upstream.s3prl_runner import overrides
from mmpt.upstream.s3prl_runner.encoder_names import FORM
from mmpt.upstream.s3prl_runner.tasks import TASKS, find_task

SLURM_CPUS = 8  # of a job, unless --slurm gives another number


@dataclass(frozen=True)
class Options:
    """What all jobs of a run have in common. Paths are absolute; None leaves the launcher's default.

    Args:
        limit: steps of a smoke run, in place of the configuration's.
        layer: the heads read this one of the encoder's states alone, 0 the first; None: a learned sum of all.
        settings: further settings, dotted as in `-o`, without `config.`.
        configs: task → YAML file in place of ours.
        threads: of each process, for OMP_NUM_THREADS.
        samples: returns the folder of the built samples, for a run without data of its own.
    """

    data_root: str | None = None
    device: str = "cpu"
    cache: str | None = None
    cache_dtype: str | None = None
    cache_limit: float | None = None
    frame_hop: int | None = None
    limit: int | None = None
    layer: int | None = None
    fine_tune: bool = False
    lexicon: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    configs: tuple[tuple[str, str], ...] = ()
    workers: int | None = None
    threads: int = 1
    samples: Callable[[], Path] = find_samples


def add_encoder_arguments(group: argparse._ActionsContainer) -> None:
    """Declare what run.py scores."""
    add_encoder_flags(group)
    add = group.add_argument
    add("--lr", metavar="LIST", help="learning rates to choose from on dev; default: the configuration's own")
    add("--seeds", default="1337", metavar="LIST", help="default: %(default)s, S3PRL's")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results, such as runs/superb/first")


def add_encoder_flags(group: argparse._ActionsContainer) -> None:
    """Declare the flags that name encoders. They share one list, `encoders`, in the order typed: (flag, text)."""
    flags = {
        CKPT: ("[NAME=]FILE", "an encoder checkpoint of ours; each of these flags may be given again"),
        ENCODER: (f"[NAME=]{FORM}", "any encoder, such as fbank, hf:DIR, wav2vec2_url:https://host/x.pt (see below)"),
        EXPERT_FLAG: ("[NAME=]DIR[:CKPT[:CONFIG]]", "an encoder of your own: a folder with an expert.py (see below)"),
    }
    for flag, (shown, text) in flags.items():
        group.add_argument(
            flag,
            dest="encoders",
            action="append",
            default=[],
            type=functools.partial(_typed, flag),
            metavar=shown,
            help=text,
        )


def _typed(flag: str, text: str) -> tuple[str, str]:
    return flag, text


def add_data_arguments(group: argparse._ActionsContainer) -> None:
    """Declare what run.py and check_data.py read."""
    add, tasks = group.add_argument, ",".join(task.name for task in TASKS)
    add("--tasks", default=tasks, metavar="LIST", help="default: %(default)s")
    add("--data-root", metavar="DIR", help="folder of the corpora; default: data.yaml, else the built samples")
    add(
        "--config",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="another YAML, such as asr=downstream_configs/asr_960.yaml",
    )
    add("--lexicon", nargs="+", metavar="FILE", help="pr: other lexicons (see run_downstream.py --help)")


def add_training_arguments(group: argparse._ActionsContainer) -> None:
    """Declare how run.py trains."""
    add = group.add_argument
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the YAML for all tasks, such as runner.total_steps=1000",
    )
    add("--limit", type=int, metavar="STEPS", help="a smoke run: train this many steps, evaluate once")
    add("--frame-hop", type=int, choices=FRAME_HOPS, help="samples under a state of our encoders, not the checkpoint's")
    add("--fine-tune", action="store_true", help="train the encoder too (-f): not the constrained track")
    add("--cache", metavar="DIR", help="keep frozen encoders' states here for all epochs, tasks, seeds and rates")
    add("--cache-dtype", choices=["float16", "float32"], help="default: float16")
    add("--cache-limit", type=float, metavar="GB", help="size at which the cache stops growing; default: 100")


def add_machine_arguments(group: argparse._ActionsContainer) -> None:
    """Declare where run.py trains."""
    add = group.add_argument
    add("--executor", choices=["local", "slurm"], default="local", help="default: %(default)s")
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="jobs at a time; they share this machine's GPUs; default: %(default)s",
    )
    add(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of sbatch, such as partition=gpu; may be given again",
    )
    add("--device", choices=["cuda", "cpu"], help="default: cuda if available (slurm: cuda)")
    add("--workers", type=int, metavar="N", help="loader processes of a job; default: the configuration's")


def read_tasks(text: str) -> list[str]:
    """Return the names of the tasks in a list with commas, in its order. Raises InputError."""
    tasks = []
    for name in filter(None, text.split(",")):
        task = find_task(name.strip())
        if task is None:
            raise InputError(f"--tasks: no task is called '{name}'; there are {', '.join(item.name for item in TASKS)}")
        tasks.append(task.name)
    if not tasks:
        raise InputError("--tasks is empty")
    return list(dict.fromkeys(tasks))


def read_data_options(arguments: argparse.Namespace, tasks: list[str]) -> dict[str, Any]:
    """Return the fields of Options that name the data.

    Raises:
        InputError: a file or folder is missing, or belongs to a task that does not run.
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


def read_options(arguments: argparse.Namespace, tasks: list[str], samples: Callable[[], Path]) -> Options:
    """Return what all jobs of run.py have in common. Raises InputError."""
    if arguments.limit is not None and arguments.limit < 1 or arguments.jobs < 1:
        raise InputError("--limit and --jobs must be at least 1")
    if arguments.cache and arguments.fine_tune:
        raise InputError("--cache keeps the states of a frozen encoder: leave out either it or --fine-tune")
    if (arguments.cache_dtype or arguments.cache_limit is not None) and not arguments.cache:
        raise InputError("--cache-dtype and --cache-limit are for --cache")
    if arguments.workers is not None and arguments.workers < 0:
        raise InputError("--workers must be at least 0")
    on_slurm = arguments.executor == "slurm"
    if arguments.slurm and not on_slurm:
        raise InputError("--slurm is for --executor slurm")
    device = arguments.device or ("cuda" if on_slurm else _best_device())
    asked = dict(read_pair(text, "--slurm") for text in arguments.slurm).get("cpus-per-task", str(SLURM_CPUS))
    cores = int(asked) if on_slurm and asked.isdigit() else max(1, (os.cpu_count() or 1) // arguments.jobs)
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
        # The small models of the samples are slower with several threads.
        threads=cores if device == "cuda" or arguments.data_root else 1,
        samples=samples,
    )


def read_numbers(rates: str | None, seeds: str) -> tuple[list[str | None], list[int]]:
    """Return the values of `--lr`, as typed ([None] without it), and of `--seeds`, each once. Raises InputError."""
    found: list[str | None] = [rate.strip() for rate in rates.split(",")] if rates else [None]
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
        bad = [rate for rate in found if rate is not None and not 0 < float(rate) < math.inf]
    except ValueError as error:
        raise InputError(f"--lr and --seeds are numbers with commas between: {error}") from None
    if bad:
        raise InputError(f"--lr {bad[0]}: a learning rate is a number above 0")
    return list(dict.fromkeys(found)), list(dict.fromkeys(numbers))


def read_pair(text: str, flag: str) -> tuple[str, str]:
    """Split KEY=VALUE. Raises InputError for a text that S3PRL's `-o` cannot hold."""
    key, mark, value = text.partition("=")
    if not mark or not key or not value:
        raise InputError(f"{flag} {text}: not of the form KEY=VALUE")
    overrides.read(text)
    return key, value


def absolute(path: str | None) -> str | None:
    """Return the path from the root, so that jobs find it from any working directory."""
    return None if path is None else str(Path(path).expanduser().absolute())


def _best_device() -> str:
    from mmpt.upstream.s3prl_runner.launcher import best_device

    return best_device()
