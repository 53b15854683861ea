"""The whole road on the sample corpora: pre-train, mid-train, then KS and ASR through S3PRL's runner for four encoders."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mmpt.scripts.comparison import ENCODERS, TASKS, Job, compare
from mmpt.scripts.quickstart_report import write_report
from mmpt.upstream.command import clean_exit
from mmpt.upstream.samples import REPOSITORY, built_samples, samples_folder

RUNS = REPOSITORY / "runs" / "quickstart"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--fresh", action="store_true", help="delete runs/quickstart and the built samples and start again (.venv is kept)")
    return p


def stage(title: str, script: str, *arguments: str, out: Path) -> None:
    """Runs a training stage, goes on with an interrupted one, or reuses what it left."""
    print(f"\n== {title}", flush=True)
    if (out / "encoder.pt").is_file():
        print(f"done before: {out / 'encoder.pt'}")
        return
    if (out / "config.yaml").is_file():
        arguments = (*arguments, "--resume" if any((out / "checkpoints").glob("step_*.pt")) else "--fresh")
    run(script, *arguments, "--out", str(out))


def run(script: str, *arguments: str) -> None:
    """One of the project's commands; its failure ends this one with the same exit status."""
    status = subprocess.run([sys.executable, str(REPOSITORY / script), *arguments], cwd=REPOSITORY, check=False).returncode
    if status:
        sys.exit(status)


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

    untrained, pretrained, midtrained = (RUNS / name / "encoder.pt" for name in ("untrained", "pretrained", "midtrained"))
    if not untrained.is_file():
        run("scripts/export.py", "--untrained", "tiny", "--seed", "0", "--out", str(untrained))
    stage("Stage 1: contrastive pre-training on audio-visual clips", "pretrain/run.py", "--objective", "clr", out=pretrained.parent)
    stage("Stage 2: mid-training on speech translation, English to Italian", "midtrain/run.py", "--target-lang", "it",
          "--init", str(pretrained), out=midtrained.parent)

    print(f"\n== Stage 3: {' and '.join(task.upper() for task in TASKS)} through S3PRL's runner, four encoders", flush=True)
    checkpoints = dict(zip(ENCODERS, (None, untrained, pretrained, midtrained)))
    jobs = [Job(task, name, checkpoints[name], RUNS / f"{task}_{name}") for task in TASKS for name in ENCODERS]
    results = compare(jobs, workers=min(2, os.cpu_count() or 1))
    print("\n" + write_report(results, RUNS, minutes=(time.time() - started) / 60))
    return 0


if __name__ == "__main__":
    sys.exit(main())
