"""Score encoders on SUPERB tasks: check the data, train, choose the learning rate on dev, test, bundle and report."""

import argparse
import shlex
import shutil
import signal
import sys
import time

from mmpt.scripts.samples.locate import built_samples
from mmpt.superb import options as opt
from mmpt.superb.encoders import read_encoders
from mmpt.superb.results_folder import output_folder
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  python scripts/superb/run.py --ckpt runs/clr/encoder.pt --out runs/superb/clr
      five tasks, one seed, on the samples or data.yaml
  python scripts/superb/run.py --ckpt a=runs/a/encoder.pt --ckpt b=runs/b/encoder.pt --encoder fbank \\
      --seeds 1,2,3 --jobs 2 --out runs/superb/ab
  python scripts/superb/run.py --ckpt encoder.pt --data-root /corpora --cache /scratch/states \\
      --lr 1e-2,1e-3,1e-4 --tasks ks,ic,pr --out runs/superb/e
  python scripts/superb/run.py --ckpt encoder.pt --data-root /corpora --executor slurm --slurm partition=gpu \\
      --slurm time=1440 --jobs 8 --out runs/superb/e
  python scripts/superb/run.py --ckpt encoder.pt --data-root /corpora --limit 20 --out /tmp/smoke
      does everything run? (figures mean nothing)

any encoder (--encoder [NAME=]UPSTREAM[:CKPT[:CONFIG]]):
  --encoder fbank                               an upstream of S3PRL's that needs no checkpoint, or downloads its own
  --encoder wav2vec2_url:https://host/x.pt      one with a checkpoint: a URL or a file
  --encoder w=hf:/models/wavlm-base             transformers: a folder, or an id of the Hugging Face Hub; called w
  --expert my_experts/good                      my_experts/good/expert.py, with class UpstreamExpert as S3PRL calls it;
                                                its weights: :CKPT, or else my_experts/good/model.pt if there is one
  `mmpt superb check` tells what S3PRL expects of an encoder, and whether it is so.

The same command resumes after an interruption: finished jobs are skipped, interrupted ones resumed, failed ones tried
again. Every encoder is compared with the first one. DIR holds results.json, report/report.html, bundles/
(scripts/superb/submit.py), and for each job task/encoder/lr-seed with S3PRL's experiment folder and the logs.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    opt.add_encoder_arguments(p.add_argument_group("what to score"))
    opt.add_data_arguments(p.add_argument_group("on what"))
    opt.add_training_arguments(p.add_argument_group("how"))
    opt.add_machine_arguments(p.add_argument_group("where"))
    p.add_argument("--no-check", action="store_true", help="do not check the data first")
    p.add_argument("--no-bundles", action="store_true", help="make no bundles for the leaderboard at the end")
    p.add_argument("--dry-run", action="store_true", help="list what would run, and stop")
    p.add_argument("--fresh", action="store_true", help="delete what the jobs of this command left in DIR first")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run everything; return the exit status: 0, 1 if jobs failed, 2 after bad input."""
    arguments = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the jobs as Ctrl-C does
    started, out = time.time(), output_folder(arguments.out)
    encoders = read_encoders(arguments.encoders)
    if arguments.frame_hop and not any(encoder.is_ours for encoder in encoders):
        raise InputError("--frame-hop is for encoders of ours (--ckpt)")
    tasks = opt.read_tasks(arguments.tasks)
    options = opt.read_options(arguments, tasks, built_samples)
    rates, seeds = opt.read_numbers(arguments.lr, arguments.seeds)
    slurm = dict(opt.read_pair(text, "--slurm") for text in arguments.slurm)

    from mmpt.superb import printout
    from mmpt.superb.bundles import end_run
    from mmpt.superb.data_checks import check_jobs
    from mmpt.superb.executor import execute, executor_for
    from mmpt.superb.jobs import make_jobs
    from mmpt.superb.results import check_nothing_is_lost, write_results
    from mmpt.superb.selection import choose

    jobs = make_jobs(tasks, encoders, rates, seeds, out, options)
    check_nothing_is_lost(jobs, out)
    if arguments.dry_run:
        for job in jobs:
            print(f"{job.name}: {job.steps} steps: {job.command()}")
        return 0
    executor = executor_for(arguments.executor, out, slurm, opt.SLURM_CPUS, gpus=int(options.device == "cuda"))
    if not arguments.no_check:
        check_jobs(jobs)
    for job in jobs:
        if arguments.fresh:
            shutil.rmtree(job.folder, ignore_errors=True)
        job.prepare()
    notes = printout.comparability_notes(jobs, options)
    for note in notes:
        print(note)

    one_rate = len(rates) == 1
    failed = execute(jobs, one_rate, executor, arguments.jobs, "train and test" if one_rate else "train")
    chosen = choose(jobs)
    if not one_rate:
        failed += execute(chosen, True, executor, arguments.jobs, "test")
    command = shlex.join(["python", "scripts/superb/run.py", *(sys.argv[1:] if argv is None else argv)])
    pairs = [(encoders[0].name, other.name) for other in encoders[1:]]
    content = write_results(jobs, chosen, out, command, notes, pairs)
    print("\n" + printout.results_table(content, tasks, encoders))
    for line in printout.footnotes(content, jobs, chosen, failed):
        print(line)
    page, problems = end_run(out, "SUPERB tasks", bundles=not arguments.no_bundles)
    print(f"\nWritten: {out / 'results.json'}, {page} ({(time.time() - started) / 60:.1f} minutes)")
    return 1 if failed or problems else 0


if __name__ == "__main__":
    sys.exit(main())
