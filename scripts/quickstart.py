"""The whole road on the sample corpora: pre-train, mid-train, then KS and ASR through S3PRL's runner for four encoders."""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mmpt.scripts.quickstart_report import TASKS, write_report
from mmpt.scripts.samples.locate import built_samples
from mmpt.scripts.superb.run import said
from mmpt.superb.bundles import end_run
from mmpt.superb.executor import execute, executor_for
from mmpt.superb.jobs import Encoder, Job, Options
from mmpt.superb.results import SMOKE, write_results
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.repository import REPOSITORY, samples_folder

RUNS = REPOSITORY / "runs" / "quickstart"
SEED = 1337  # S3PRL's own


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--fresh",
        action="store_true",
        help="delete runs/quickstart and the built samples and start again (.venv is kept)",
    )
    return p


def stage(title: str, script: str, *arguments: str, out: Path, config: Path, hangs_on: str) -> None:
    """Runs a training stage, goes on with an interrupted one, or reuses what it left.

    Args:
        config: its settings. hangs_on: what else its result hangs on; with other settings or another of these the
            stage starts again.
    """
    print(f"\n== {title}", flush=True)
    made_from = hashlib.sha256(config.read_bytes() + hangs_on.encode()).hexdigest()
    marker = out / "made-from"
    same = marker.is_file() and marker.read_text(encoding="utf-8") == made_from
    if same and (out / "encoder.pt").is_file():
        print(f"done before: {out / 'encoder.pt'}")
        return
    if same and any((out / "checkpoints").glob("*.pt")):
        arguments = (*arguments, "--resume")
    elif out.exists():
        shutil.rmtree(out)
    run(script, *arguments, "--config", str(config), "--out", str(out), marker=(marker, made_from))


def run(script: str, *arguments: str, marker: tuple[Path, str] | None = None) -> None:
    """One of the project's commands; its failure ends this one with the same exit status. Ctrl-C and SIGTERM reach it,
    and it may finish its step and save. `marker`: a file to write, with its text, however it ends.
    """
    process = subprocess.Popen([sys.executable, str(REPOSITORY / script), *arguments], cwd=REPOSITORY)
    # A terminal sends Ctrl-C to both processes: here it is only waited out.
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate()), signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = process.wait()
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])
    if marker and marker[0].parent.is_dir():
        marker[0].write_text(marker[1], encoding="utf-8")
    if status:
        sys.exit(status if status > 0 else 128 - status)


def score(encoders: list[Encoder], samples: Path) -> None:
    """The tasks for each encoder, one processor thread a job (small models gain nothing from more); writes results.json."""
    options = Options(data_root=str(samples))
    jobs = [
        Job(task, encoder, None, SEED, RUNS / "superb" / task / encoder.name, options)
        for task in TASKS
        for encoder in encoders
    ]
    for job in jobs:
        job.prepare(replace=True)
    if execute(
        jobs, True, executor_for("local", RUNS, {}, cpus=1, gpus=0), min(2, os.cpu_count() or 1), said, "train and test"
    ):
        raise InputError(f"jobs failed, see above and {RUNS / 'superb'}")
    write_results(jobs, jobs, RUNS / "results.json", "bash scripts/quickstart.sh", [SMOKE])
    _, problems = end_run(RUNS, "Quickstart on the sample corpora")
    if problems:
        raise InputError(f"{len(problems)} bundles could not be made, see above")


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs the quickstart; returns the exit status."""
    arguments = parser().parse_args(argv)
    started = time.time()
    if arguments.fresh and RUNS.exists():
        shutil.rmtree(RUNS)
    RUNS.mkdir(parents=True, exist_ok=True)

    print("== Sample corpora", flush=True)
    if arguments.fresh:
        run("scripts/samples/build.py", "--out", str(samples_folder()), "--fresh")
    samples = built_samples()
    print(f"{samples} (real speech; the mouths of the audio-visual clips are rendered)")

    untrained, pretrained, midtrained = (
        RUNS / name / "encoder.pt" for name in ("untrained", "pretrained", "midtrained")
    )
    if not untrained.is_file():
        run("scripts/export.py", "--untrained", "tiny", "--seed", "0", "--out", str(untrained))
    built = (samples / "built.json").read_text(encoding="utf-8")
    stage(
        "Stage 1: contrastive pre-training on audio-visual clips",
        "pretrain/run.py",
        "--objective",
        "clr",
        out=pretrained.parent,
        config=REPOSITORY / "pretrain/configs/samples.yaml",
        hangs_on=built,
    )
    stage(
        "Stage 2: mid-training on speech translation, English to Italian",
        "midtrain/run.py",
        "--target-lang",
        "it",
        "--init",
        str(pretrained),
        out=midtrained.parent,
        config=REPOSITORY / "midtrain/configs/samples.yaml",
        hangs_on=built + file_hash(pretrained),
    )

    print(
        f"\n== Stage 3: {' and '.join(task.upper() for task in TASKS)} through S3PRL's runner, four encoders",
        flush=True,
    )
    encoders = [Encoder("fbank", "fbank")] + [
        Encoder(file.parent.name, "mmpt_av", file) for file in (untrained, pretrained, midtrained)
    ]
    score(encoders, samples)
    print("\n" + write_report(RUNS, minutes=(time.time() - started) / 60))
    return 0


if __name__ == "__main__":
    sys.exit(main())
