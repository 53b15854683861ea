"""The quickstart's stages: train encoders by the project's own commands, score them. A finished stage is reused."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmpt.scripts.quickstart_report import demo_note
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.options import Options
from mmpt.training.stage_commands import end_commands, run_command, train
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY, demo_encoder
from mmpt.upstream.s3prl_runner.registration import UPSTREAM

if TYPE_CHECKING:
    from mmpt.superb.executor import Executor
    from mmpt.superb.jobs import Job

RUNS = REPOSITORY / "runs" / "quickstart"
# Task → learning rates. Each encoder's is chosen on dev: one fixed rate would favour the encoder that it suits.
RATES = {"ks": ("1e-3", "5e-3"), "pr": ("3e-3", "1e-2"), "asr": ("3e-3", "1e-2")}
BASELINE = "untrained"  # that the others are compared with
DEMO = "demo"  # the trained encoder of the repository
SEED = 1337  # S3PRL's own
ON_CPU = "device=cpu"  # also where there is a GPU, so that the table is the README's; heads are trained there, too
STATES = RUNS / "states"  # of all encoders, kept for all epochs and rates
CORES = os.cpu_count() or 1


def make_encoders(samples: Path, executor: "Executor") -> list[ScoredEncoder]:
    """Return what is to be scored: log-mel features, an untrained, a pre-trained and a mid-trained encoder, the demo.

    Two of them are trained here. The demo is left out where the repository does not have it. Stage 2 uses one core;
    the second one trains heads of the other encoders in the meantime.
    """
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    names = ("untrained", "pretrained", "midtrained")
    files = {name: RUNS / name / "encoder.pt" for name in names}
    untrained, pretrained, midtrained = files.values()
    if not untrained.is_file():
        run_command("scripts/export.py", "--untrained", "tiny", "--seed", "0", "--out", str(untrained))
    built = (samples / "built.json").read_text(encoding="utf-8")
    print("\n== Stage 1: contrastive pre-training on audio-visual clips", flush=True)
    train(
        ["pretrain/run.py", "--objective", "clr", ON_CPU],
        out=pretrained.parent,
        config=REPOSITORY / "pretrain/configs/samples.yaml",
        depends_on=built,
    )
    print("\n== Stage 2: mid-training on speech translation, English to Italian", flush=True)
    options: dict[str, Any] = {
        "out": midtrained.parent,
        "config": REPOSITORY / "midtrain/configs/samples.yaml",
        "depends_on": built + file_hash(pretrained),
    }
    command = ["midtrain/run.py", "--target-lang", "it", "--init", str(pretrained), ON_CPU]
    if demo := demo_encoder():
        files[DEMO] = demo
    trained = [ScoredEncoder(name, UPSTREAM, file) for name, file in files.items()]
    encoders = [ScoredEncoder("fbank", "fbank"), *trained]
    there = [encoder for encoder in encoders if encoder.checkpoint != midtrained]
    beside(lambda: train(command, **options), head_jobs(there, samples), executor)
    return encoders


def beside(training: Callable[[], None], jobs: "list[Job]", executor: "Executor") -> None:
    """Run a training; on a second core, train heads one after the other, without a word, until the training ends."""
    from mmpt.superb.executor import execute

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(training)
        try:
            for job in jobs if CORES > 1 else []:
                if ended.done():
                    break
                execute([job], False, executor, 1, job.name, Silent)
            ended.result()
        except BaseException:
            end_commands()
            raise


class Silent:
    """A bar that shows nothing: a job that fails here is tried again, and reported, with all the others."""

    def __init__(self, **options: Any):
        pass

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, steps: int) -> None:
        """Show no steps."""

    def write(self, line: str) -> None:
        """Write no line."""


def head_jobs(encoders: list[ScoredEncoder], samples: Path) -> "list[Job]":
    """Return the jobs of all tasks and rates, ready to run; a job has one thread, since small models need no more."""
    from mmpt.superb.jobs import make_jobs

    options = Options(data_root=str(samples), cache=str(STATES))
    jobs = [
        job
        for task, rates in RATES.items()
        for job in make_jobs([task], encoders, list(rates), [SEED], RUNS / "superb", options)
    ]
    for job in jobs:
        job.prepare(replace=True)
    return jobs


def score_encoders(encoders: list[ScoredEncoder], samples: Path, executor: "Executor") -> str:
    """Run the tasks for each encoder; write results.json.

    Returns:
        the table of results, and the lines under it.
    """
    tasks = list(RATES)
    on_what = f"{', '.join(map(str.upper, tasks))} through S3PRL's runner, {len(encoders)} encoders"
    print(f"\n== Stage 3: {on_what}", flush=True)
    from mmpt.superb import printout
    from mmpt.superb.bundles import end_run
    from mmpt.superb.executor import execute
    from mmpt.superb.results import write_results
    from mmpt.superb.selection import choose

    jobs, at_a_time = head_jobs(encoders, samples), min(2, CORES)
    failed = execute(jobs, False, executor, at_a_time, "train")
    chosen = choose(jobs)
    failed += execute(chosen, True, executor, at_a_time, "test")
    if failed:
        raise InputError(f"jobs failed, see above and {RUNS / 'superb'}")
    shutil.rmtree(STATES, ignore_errors=True)
    pairs = [(BASELINE, encoder.name) for encoder in encoders if encoder.name != BASELINE]
    content = write_results(jobs, chosen, RUNS, "bash scripts/quickstart.sh", [printout.SMOKE], pairs)
    _, problems = end_run(RUNS, "Quickstart on the sample corpora")
    if problems:
        raise InputError(f"{len(problems)} bundles could not be made, see above")
    notes = printout.footnotes(content, jobs, chosen, failed)
    notes += [demo_note(encoder.provenance() or {}) for encoder in encoders if encoder.name == DEMO]
    return "\n".join([printout.results_table(content, tasks, encoders), *notes])
