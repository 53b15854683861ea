"""Answer the paper's question: does mid-training help, after which pre-training? Train, score and compare all of it."""

import argparse
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

from mmpt.study.plan import SCALES, read_plan
from mmpt.study.record import FILE, SUMMARY
from mmpt.superb.encoders import ENCODER, read_encoders
from mmpt.training.sole_use import LOCK, sole_use
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.output import check_output
from mmpt.upstream.s3prl_runner.encoder_names import FORM

EXAMPLES = """\
examples:
  python scripts/study.py --scale quick                        a quarter of an hour: does everything run?
  python scripts/study.py                                      an evening on two cores, on all of the samples
  python scripts/study.py --scale gpu --clips clips.tsv --must-c /corpora/must_c --data-root /corpora
                                                               one GPU, your own data
  python scripts/study.py --also whisper=hf:/models/whisper-base           the same, with one more row
  python scripts/study.py --scale evening --steps 1 --out /tmp/try                   one update of each training
  python scripts/study.py --scale my_plan.yaml --out runs/mine  a plan of your own, such as study/plans/evening.yaml

The study pre-trains with each objective, mid-trains from each encoder and from none, and scores all of them, log-mel
features and an untrained encoder on five tasks. A control pre-trains for longer, by the time that mid-training took.
Every encoder's learning rate is chosen on dev from one grid.

The same command resumes after an interruption: what is done is left alone. OUT gets page/index.html, study.md (the same
for a terminal), study.json, results.json (in the format of `mmpt superb run`), and a folder for each encoder and head.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = p.add_argument
    add("--scale", default="evening", help=f"{', '.join(SCALES)}, or a plan's YAML file (default: %(default)s)")
    add("--out", type=Path, metavar="DIR", help="folder of the study (default: runs/study/SCALE)")
    add("--clips", type=Path, metavar="MANIFEST", help="clips of stage 1: a manifest, or shards (default: the samples)")
    add("--must-c", type=Path, metavar="DIR", help="translations of stage 2: holds en-xx (default: the samples)")
    add("--data-root", type=Path, metavar="DIR", help="corpora of the tasks (default: the samples)")
    add(
        "--also",
        action="append",
        default=[],
        metavar=f"NAME={FORM}",
        help="another encoder to score, written as for `mmpt superb run --encoder`; may be given again",
    )
    add("--steps", type=int, metavar="N", help="updates of each training and head, to try a plan")
    add(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="heads trained at a time, and encoders where a CPU trains them (default: %(default)s)",
    )
    add("--device", choices=["cuda", "cpu"], help="default: cuda if available")
    add("--page", action="store_true", help="train nothing: write the page of what is there")
    add("--fresh", action="store_true", help="delete the study in DIR and start again")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the study; return the exit status: 0, 1 if heads failed, 2 after bad input."""
    arguments = parser().parse_args(argv)
    if arguments.page and arguments.fresh:
        raise InputError("--page writes the page of what is there, and --fresh deletes it: give one of them")
    if arguments.jobs < 1 or (arguments.steps is not None and arguments.steps < 1):
        raise InputError("--jobs and --steps must be at least 1")
    plan = read_plan(arguments.scale)
    also = read_encoders([(ENCODER, text) for text in arguments.also]) if arguments.also else []
    out = check_output(arguments.out or Path("runs/study") / Path(arguments.scale).stem, "runs/NAME").absolute()
    if (arguments.page or contents(out)) and not (out / FILE).is_file():
        raise InputError(f"{out}: holds no study; name another folder with --out")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the heads as Ctrl-C does

    from mmpt.study.page import write_page
    from mmpt.study.run import StudyRun, check
    from mmpt.study.world import World, find_data
    from mmpt.upstream.s3prl_runner.launcher import best_device

    started, data = time.time(), find_data(plan, arguments.clips, arguments.must_c, arguments.data_root)
    world = World(out, data, arguments.device or best_device(), arguments.jobs, arguments.steps)
    command = shlex.join(["mmpt", "study", *(sys.argv[1:] if argv is None else argv)])
    plan = plan if data.are_samples else plan.for_own_data(bool(arguments.clips), bool(arguments.must_c))
    check(plan, world, also)
    out.mkdir(parents=True, exist_ok=True)
    with sole_use(out):
        for path in contents(out) if arguments.fresh else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        study = StudyRun(arguments.scale, plan, world, also, command)
        for sentence in study.plan.cut:
            print(f"left out: {sentence}")
        failed = [] if arguments.page else study.run()
        study.write()
        page = write_page(out)
    print(f"\n{(out / SUMMARY).read_text(encoding='utf-8')}")
    print(f"Written: {page}, {out / SUMMARY}, {out / 'results.json'} ({(time.time() - started) / 60:.1f} minutes)")
    for name in failed:
        print(f"failed: {name}; see {out / 'logs'}", file=sys.stderr)
    return int(bool(failed))


def contents(folder: Path) -> list[Path]:
    """Return what a folder holds besides the lock; last the file without which it is no study."""
    found = [path for path in folder.iterdir() if path.name != LOCK] if folder.exists() else []
    return sorted(found, key=lambda path: path.name == FILE)


if __name__ == "__main__":
    sys.exit(main())
