"""The quickstart's stages: train encoders by the project's own commands, score them. A finished stage is reused."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from mmpt.scripts.quickstart_report import TASKS
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.options import Options
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner.registration import UPSTREAM

RUNS = REPOSITORY / "runs" / "quickstart"
SEED = 1337  # S3PRL's own


def make_encoders(samples: Path) -> list[ScoredEncoder]:
    """Train what is to be scored: log-mel features, and an untrained, a pre-trained and a mid-trained encoder."""
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    names = ("untrained", "pretrained", "midtrained")
    untrained, pretrained, midtrained = (RUNS / name / "encoder.pt" for name in names)
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
    files = (untrained, pretrained, midtrained)
    return [ScoredEncoder("fbank", "fbank"), *(ScoredEncoder(file.parent.name, UPSTREAM, file) for file in files)]


def train(command: list[str], out: Path, config: Path, depends_on: str) -> None:
    """Run a training stage, resume an interrupted one, or reuse a finished one.

    Args:
        command: the script and its options.
        out: the run's folder.
        config: its settings.
        depends_on: what else its result depends on. If this or the settings have changed, the stage starts again.
    """
    made_from = hashlib.sha256(config.read_bytes() + depends_on.encode()).hexdigest()
    marker = out / "made-from"
    same = marker.is_file() and marker.read_text(encoding="utf-8") == made_from
    if same and (out / "encoder.pt").is_file():
        print(f"done before: {out / 'encoder.pt'}")
        return
    if same and any((out / "checkpoints").glob("*.pt")):
        command = [*command, "--resume"]
    elif out.exists():
        shutil.rmtree(out)
    run_command(*command, "--config", str(config), "--out", str(out), marker=(marker, made_from))


def run_command(script: str, *arguments: str, marker: tuple[Path, str] | None = None) -> None:
    """Run one of the project's commands; exit with its status if it fails.

    Ctrl-C and SIGTERM reach the command, which may finish its step and save.

    Args:
        script: from the repository's folder.
        arguments: its options.
        marker: a file, and the text to write into it however the command ends.
    """
    process = subprocess.Popen([sys.executable, str(REPOSITORY / script), *arguments], cwd=REPOSITORY)
    # A terminal sends Ctrl-C to both processes. This one ignores it and waits for the other.
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate()), signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = process.wait()
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])
    if marker and marker[0].parent.is_dir():
        marker[0].write_text(marker[1], encoding="utf-8")
    if status:
        sys.exit(status if status > 0 else 128 - status)


def score_encoders(encoders: list[ScoredEncoder], samples: Path) -> None:
    """Run the tasks for each encoder, one thread a job (small models gain nothing from more); write results.json."""
    print(f"\n== Stage 3: {' and '.join(map(str.upper, TASKS))} through S3PRL's runner, four encoders", flush=True)
    from mmpt.superb.bundles import end_run
    from mmpt.superb.executor import execute, executor_for
    from mmpt.superb.jobs import Job
    from mmpt.superb.printout import SMOKE
    from mmpt.superb.results import write_results

    options, results = Options(data_root=str(samples)), RUNS / "superb"
    jobs = [
        Job(task, encoder, None, SEED, results / task / encoder.name, options) for task in TASKS for encoder in encoders
    ]
    for job in jobs:
        job.prepare(replace=True)
    executor = executor_for("local", RUNS, {}, cpus=1, gpus=0)
    if execute(jobs, True, executor, min(2, os.cpu_count() or 1), "train and test"):
        raise InputError(f"jobs failed, see above and {results}")
    write_results(jobs, jobs, RUNS, "bash scripts/quickstart.sh", [SMOKE])
    _, problems = end_run(RUNS, "Quickstart on the sample corpora")
    if problems:
        raise InputError(f"{len(problems)} bundles could not be made, see above")
