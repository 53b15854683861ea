"""SUPERB tasks for one or more encoders: check the data, train, choose the learning rate on dev, score the best on test, bundle and report."""

import argparse
import shlex
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from mmpt.scripts.samples.locate import built_samples
from mmpt.scripts.superb.check_data import check, show
from mmpt.superb.bundles import end_run
from mmpt.superb.executor import execute, executor_for
from mmpt.superb.jobs import Encoder, Job, Options
from mmpt.superb.options import SLURM_CPUS, add_data_arguments, read_options, read_pair, read_tasks
from mmpt.superb.results import SMOKE, choose, dev_score, rates_table, table, write_results
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.tasks import find_task

EXAMPLES = """\
examples:
  python scripts/superb/run.py --ckpt runs/clr/encoder.pt --out superb/clr                   five tasks, one seed, on the samples or data.yaml
  python scripts/superb/run.py --ckpt a=runs/a/encoder.pt --ckpt b=runs/b/encoder.pt --upstream fbank --seeds 1,2,3 --jobs 2 --out superb/ab
  python scripts/superb/run.py --ckpt encoder.pt --data-root /corpora --cache /scratch/states --lr 1e-2,1e-3,1e-4 --tasks ks,ic,pr --out superb/e
  python scripts/superb/run.py --ckpt encoder.pt --data-root /corpora --executor slurm --slurm partition=gpu --slurm time=1440 --jobs 8 --out superb/e
  python scripts/superb/run.py --ckpt encoder.pt --data-root /corpora --limit 20 --out /tmp/smoke      does everything run? (figures mean nothing)

The same command goes on where it was broken off: finished jobs are skipped, broken ones resumed, failed ones tried again.
DIR holds results.json, report/report.html, bundles/ (scripts/superb/submit.py), and for each job task/encoder/lr-seed with S3PRL's experiment
folder and the logs.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = p.add_argument_group("what to score")
    what.add_argument(
        "--ckpt", action="append", default=[], metavar="[NAME=]FILE", help="an encoder checkpoint; may be given again"
    )
    what.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="NAME",
        help="an upstream of S3PRL's, such as fbank; may be given again",
    )
    what.add_argument(
        "--lr", metavar="LIST", help="learning rates to choose from on dev; default: the configuration's own"
    )
    what.add_argument("--seeds", default="1337", metavar="LIST", help="default: %(default)s, S3PRL's")
    what.add_argument("--out", type=Path, required=True, metavar="DIR", help="where everything goes")
    add_data_arguments(p.add_argument_group("on what"))
    how = p.add_argument_group("how")
    how.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the YAML, such as runner.total_steps=1000, for all tasks",
    )
    how.add_argument("--limit", type=int, metavar="STEPS", help="a smoke run of so many steps, evaluated once")
    how.add_argument(
        "--frame-hop", type=int, choices=[640, 320], help="samples under a state, in place of the checkpoint's"
    )
    how.add_argument("--fine-tune", action="store_true", help="train the encoder, too (-f): not the constrained track")
    how.add_argument(
        "--cache", metavar="DIR", help="keep a frozen encoder's states here, for all epochs, tasks, seeds and rates"
    )
    how.add_argument("--cache-dtype", choices=["float16", "float32"], help="default: float16")
    how.add_argument(
        "--cache-limit", type=float, metavar="GB", help="size at which the cache stops growing; default: 100"
    )
    where = p.add_argument_group("where")
    where.add_argument("--executor", choices=["local", "slurm"], default="local", help="default: %(default)s")
    where.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="jobs at a time, in turn on this machine's GPUs; default: %(default)s",
    )
    where.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of sbatch, such as partition=gpu; may be given again",
    )
    where.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda where there is one (slurm: cuda)")
    where.add_argument(
        "--workers", type=int, metavar="N", help="loader processes of a job; default: the configuration's"
    )
    p.add_argument("--no-check", action="store_true", help="do not look through the data first")
    p.add_argument("--no-bundles", action="store_true", help="make no bundles for the leaderboard at the end")
    p.add_argument("--dry-run", action="store_true", help="say what would be run, and stop")
    p.add_argument(
        "--fresh", action="store_true", help="delete what the jobs of this command left in DIR, and start again"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs everything; returns the exit status: 0, 1 when jobs failed, 2 after bad input."""
    arguments = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the jobs as Ctrl-C does
    started = time.time()
    encoders = read_encoders(arguments.ckpt, arguments.upstream)
    tasks = read_tasks(arguments.tasks)
    options = replace(read_options(arguments, tasks), samples=built_samples)
    jobs = make_jobs(arguments, encoders, tasks, options)
    if arguments.dry_run:
        for job in jobs:
            print(f"{job.name}: {job.steps} steps: {job.command()}")
        return 0
    slurm = dict(read_pair(text, "--slurm") for text in arguments.slurm)
    executor = executor_for(
        arguments.executor, arguments.out, slurm, cpus=SLURM_CPUS, gpus=int(options.device == "cuda")
    )
    if not arguments.no_check:
        check_all(jobs)
    for job in jobs:
        if arguments.fresh:
            shutil.rmtree(job.folder, ignore_errors=True)
        job.prepare()
    notes = what_to_know(jobs, options)
    command = shlex.join(["python", "scripts/superb/run.py", *(sys.argv[1:] if argv is None else argv)])

    only_one_rate = len({job.lr for job in jobs}) == 1
    failed = execute(
        jobs, only_one_rate, executor, arguments.jobs, said, "train and test" if only_one_rate else "train"
    )
    chosen = choose(jobs)
    if not only_one_rate:
        failed += execute(chosen, True, executor, arguments.jobs, said, "test")
    content = write_results(jobs, chosen, arguments.out / "results.json", command, notes)
    print("\n" + table(content, tasks, encoders))
    report(content, jobs, chosen, failed, only_one_rate)
    page, problems = end_run(arguments.out, "SUPERB tasks", bundles=not arguments.no_bundles)
    print(f"\nWritten: {arguments.out / 'results.json'}, {page} ({(time.time() - started) / 60:.1f} minutes)")
    return 1 if failed or problems else 0


def read_encoders(checkpoints: list[str], upstreams: list[str]) -> list[Encoder]:
    """`--ckpt` and `--upstream`, with names that differ."""
    encoders = []
    for text in checkpoints:
        name, _, file = text.rpartition("=") if "=" in text and not Path(text).exists() else ("", "", text)
        path = Path(file).expanduser().absolute()
        if not path.is_file():
            raise InputError(f"--ckpt {text}: no such encoder checkpoint")
        encoder = Encoder(name or (path.parent.name if path.name == "encoder.pt" else path.stem), "mmpt_av", path)
        encoder.provenance()  # a damaged one is told now
        encoders.append(encoder)
    encoders += [Encoder(name, name) for name in upstreams]
    if not encoders:
        raise InputError("nothing to score: give --ckpt FILE or --upstream NAME")
    names = [encoder.name for encoder in encoders]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two encoders are called {name}: name them, as in --ckpt first={name}/encoder.pt")
        if "/" in name or name.startswith("."):
            raise InputError(f"{name}: not a name for a folder")
    return encoders


def make_jobs(arguments: argparse.Namespace, encoders: list[Encoder], tasks: list[str], options: Options) -> list[Job]:
    """Encoder × task × learning rate × seed."""
    rates = [rate.strip() for rate in arguments.lr.split(",")] if arguments.lr else [None]
    try:
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
        bad = [rate for rate in rates if rate is not None and not float(rate) > 0]
    except ValueError as error:
        raise InputError(f"--lr and --seeds are numbers with commas between: {error}") from None
    if bad:
        raise InputError(f"--lr {bad[0]}: a learning rate is above 0")
    out = arguments.out.expanduser().absolute()
    return [
        Job(task, encoder, rate, seed, out / task / encoder.name / f"lr{rate or '-default'}-seed{seed}", options)
        for task in tasks
        for encoder in encoders
        for rate in dict.fromkeys(rates)
        for seed in dict.fromkeys(seeds)
    ]


def check_all(jobs: list[Job]) -> None:
    """Looks through the data of each task once.

    Raises:
        InputError: something is wrong; the list has been printed.
    """
    findings = []
    for task in dict.fromkeys(job.task for job in jobs):
        findings += check(task, next(job for job in jobs if job.task == task))
    if show(findings):
        raise InputError("the data cannot be used as they are, see the list above; --no-check goes on all the same")


def what_to_know(jobs: list[Job], options: Options) -> list[str]:
    """What keeps the figures from being comparable with the leaderboard's, said before and after."""
    notes = [SMOKE] if any(job.is_smoke for job in jobs) else []
    if options.lexicon:
        notes.append("PR with other lexicons than the leaderboard's: its figure is not comparable with the board.")
    if options.fine_tune:
        notes.append("Fine-tuned encoders: not the constrained track.")
    if options.settings or options.configs:
        notes.append("Settings were changed (--set, --config): not the constrained track's protocol.")
    for note in notes:
        print(note)
    return notes


def said(job: Job) -> str:
    """One line about a job that is done."""
    trained, result = job.trained(), job.result()
    dev = "no dev score" if trained["dev_score"] is None else f"dev {100 * dev_score(job):.1f} %"
    line = f"{job.name}: {dev} at step {trained['checkpoint_step']}"
    for split, scores in (result or {"scores": {}})["scores"].items():
        line += f", {split} {find_task(job.task).metric} {100 * scores[find_task(job.task).metric]:.1f} %"
    return line


def report(content: dict, jobs: list[Job], chosen: list[Job], failed: list[Job], only_one_rate: bool) -> None:
    """What belongs under the table."""
    if any(not entry["best_on_dev"] for entry in content["summary"]):
        print(
            "* the last checkpoint: S3PRL wrote no best one (ASR: dev WER never under 100 %; KS, IC: no dev item right)"
        )
    if len({job.seed for job in jobs}) > 1:
        print("± standard deviation over seeds")
    if not only_one_rate:
        print(
            "\nLearning rates by dev, %: mean over seeds of what S3PRL chooses by (KS, IC, SD accuracy, PR PER, ASR WER); < was tested"
        )
        print(rates_table(jobs, chosen))
    for entry in content["jobs"]:
        dropped = entry.get("dropped") or {}
        for what in ("dropped_batches", "nan_steps"):
            if dropped.get(what):
                print(
                    f"{entry['task']} {entry['encoder']} seed {entry['seed']}: {dropped[what]} {what.replace('_', ' ')}"
                )
    for task, encoder, split, share in sorted(unalignable(content)):
        print(
            f"{task} {encoder}: {100 * share:.1f} % of the utterances of {split} have more CTC labels than states, and count nothing in the loss"
        )
    for note in content["notes"]:
        print(note)
    for job in failed:
        print(f"failed: {job.name}, see {job.folder}")


def unalignable(content: dict) -> set[tuple[str, str, str, float]]:
    """(task, encoder, split, share) where utterances are too fast for CTC; training's, and the tests'."""
    found = set()
    for entry in content["jobs"]:
        train = (entry.get("dropped") or {}).get("ctc", {}).get("train")
        tests = {
            split: counts for split, counts in (entry.get("unalignable") or {}).items() if split.startswith("test")
        }
        for split, counts in {"train": train, **tests}.items():
            if counts and counts["unalignable"]:
                found.add(
                    (entry["task"], entry["encoder"], split, round(counts["unalignable"] / counts["utterances"], 3))
                )
    return found


if __name__ == "__main__":
    sys.exit(main())
