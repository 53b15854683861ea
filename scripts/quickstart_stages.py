"""The quickstart's stages: train encoders by the project's own commands, score them. A finished stage is reused."""

import os
import shutil
from pathlib import Path

from mmpt.scripts.quickstart_report import demo_note
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.options import Options
from mmpt.training.stage_commands import run_command, train
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY, demo_encoder
from mmpt.upstream.s3prl_runner.registration import UPSTREAM

RUNS = REPOSITORY / "runs" / "quickstart"
# Task → learning rates. Each encoder's is chosen on dev: one fixed rate would favour the encoder that it suits.
RATES = {"ks": ("1e-3", "5e-3"), "pr": ("3e-3", "1e-2"), "asr": ("3e-3", "1e-2")}
BASELINE = "untrained"  # that the others are compared with
DEMO = "demo"  # the trained encoder of the repository
SEED = 1337  # S3PRL's own


def make_encoders(samples: Path) -> list[ScoredEncoder]:
    """Return what is to be scored: log-mel features, an untrained, a pre-trained and a mid-trained encoder, the demo.

    Two of them are trained here. The demo is left out where the repository does not have it.
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
        ["pretrain/run.py", "--objective", "clr"],
        out=pretrained.parent,
        config=REPOSITORY / "pretrain/configs/samples.yaml",
        depends_on=built,
    )
    print("\n== Stage 2: mid-training on speech translation, English to Italian", flush=True)
    train(
        ["midtrain/run.py", "--target-lang", "it", "--init", str(pretrained)],
        out=midtrained.parent,
        config=REPOSITORY / "midtrain/configs/samples.yaml",
        depends_on=built + file_hash(pretrained),
    )
    if demo := demo_encoder():
        files[DEMO] = demo
    return [ScoredEncoder("fbank", "fbank"), *(ScoredEncoder(name, UPSTREAM, file) for name, file in files.items())]


def score_encoders(encoders: list[ScoredEncoder], samples: Path) -> str:
    """Run the tasks for each encoder, one thread a job (small models gain nothing from more); write results.json.

    The states of an encoder are kept for all epochs and rates, and deleted at the end.

    Returns:
        the table of results, and the lines under it.
    """
    tasks, states = list(RATES), RUNS / "states"
    on_what = f"{', '.join(map(str.upper, tasks))} through S3PRL's runner, {len(encoders)} encoders"
    print(f"\n== Stage 3: {on_what}", flush=True)
    from mmpt.superb import printout
    from mmpt.superb.bundles import end_run
    from mmpt.superb.executor import execute, executor_for
    from mmpt.superb.jobs import make_jobs
    from mmpt.superb.results import write_results
    from mmpt.superb.selection import choose

    options = Options(data_root=str(samples), cache=str(states))
    jobs = [
        job
        for task in tasks
        for job in make_jobs([task], encoders, list(RATES[task]), [SEED], RUNS / "superb", options)
    ]
    for job in jobs:
        job.prepare(replace=True)
    executor, at_a_time = executor_for("local", RUNS, {}, cpus=1, gpus=0), min(2, os.cpu_count() or 1)
    failed = execute(jobs, False, executor, at_a_time, "train")
    chosen = choose(jobs)
    failed += execute(chosen, True, executor, at_a_time, "test")
    if failed:
        raise InputError(f"jobs failed, see above and {RUNS / 'superb'}")
    shutil.rmtree(states, ignore_errors=True)
    pairs = [(BASELINE, encoder.name) for encoder in encoders if encoder.name != BASELINE]
    content = write_results(jobs, chosen, RUNS, "bash scripts/quickstart.sh", [printout.SMOKE], pairs)
    _, problems = end_run(RUNS, "Quickstart on the sample corpora")
    if problems:
        raise InputError(f"{len(problems)} bundles could not be made, see above")
    notes = printout.footnotes(content, jobs, chosen, failed)
    notes += [demo_note(encoder.provenance() or {}) for encoder in encoders if encoder.name == DEMO]
    return "\n".join([printout.results_table(content, tasks, encoders), *notes])
