"""Looks through the corpora of SUPERB tasks before anything is trained: layout, counts, and what makes S3PRL fail, loop or be wrong in silence."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from mmpt.scripts.samples.locate import built_samples
from mmpt.superb import data_checks
from mmpt.superb.data_checks import ERROR, NOTE, Finding
from mmpt.superb.jobs import Encoder, Job, Options
from mmpt.superb.options import add_data_arguments, read_data_options, read_tasks
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import load_encoder

CHECKS: dict[str, Callable[[dict, int | None], list[Finding]]] = {
    "ks": data_checks.check_ks,
    "ic": data_checks.check_ic,
    "pr": data_checks.check_pr,
    "sd": data_checks.check_sd,
    "asr": data_checks.check_asr,
}
EXAMPLES = """\
examples:
  python scripts/superb/check_data.py                                             the built samples, or what data.yaml names
  python scripts/superb/check_data.py --data-root /corpora --tasks pr,asr --ckpt encoder.pt
Exit status: 0 all is well (there may be warnings), 1 something would fail or be wrong, 2 bad input.
"""


def check(task: str, job: Job) -> list[Finding]:
    """Everything worth saying about the data of a task, as the job's configuration leads to them."""
    try:
        config = job.config
    except InputError as error:
        return [Finding(ERROR, task, str(error))]
    hop = None
    if job.encoder.checkpoint is not None:
        hop = job.options.frame_hop or load_encoder(job.encoder.checkpoint).hop
    findings = CHECKS[task](config, hop)
    if not job.on_samples:
        return findings
    others = [finding for finding in findings if not finding.text.endswith(data_checks.INCOMPARABLE)]
    return [*others, Finding(NOTE, task, "the built samples, whose counts and words are not the published corpus's")]


def show(findings: list[Finding]) -> bool:
    """Prints the list, errors first; whether there is an error in it."""
    order = (ERROR, data_checks.WARNING, NOTE)
    for finding in sorted(findings, key=lambda finding: order.index(finding.level)):
        print(
            f"{finding.level}: {finding.task}: {finding.text}",
            file=sys.stderr if finding.level == ERROR else sys.stdout,
        )
    return any(finding.level == ERROR for finding in findings)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(p)
    p.add_argument(
        "--ckpt", type=Path, metavar="FILE", help="an encoder: utterances too fast for CTC at its rate are counted"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Checks; returns the exit status."""
    arguments = parser().parse_args(argv)
    tasks = read_tasks(arguments.tasks)
    options = Options(**read_data_options(arguments, tasks), samples=built_samples)
    if arguments.ckpt is not None and not arguments.ckpt.is_file():
        raise InputError(f"--ckpt {arguments.ckpt}: no such encoder checkpoint")
    encoder = Encoder("encoder", "mmpt_av", arguments.ckpt.absolute()) if arguments.ckpt else Encoder("fbank", "fbank")
    findings = []
    for task in tasks:
        findings += check(task, Job(task, encoder, None, 0, Path("result").absolute(), options))
    return 1 if show(findings) else 0


if __name__ == "__main__":
    sys.exit(main())
