"""Check the corpora of SUPERB tasks before training: layout, counts, and what makes S3PRL fail, loop or be wrong."""

import argparse
import sys
from pathlib import Path

from mmpt.scripts.samples.locate import built_samples
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.options import Options, add_data_arguments, read_data_options, read_tasks
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.registration import UPSTREAM

EXAMPLES = """\
examples:
  python scripts/superb/check_data.py                                  the built samples, or what data.yaml names
  python scripts/superb/check_data.py --data-root /corpora --tasks pr,asr --ckpt encoder.pt
Exit status: 0 all is well (there may be warnings), 1 something would fail or be wrong, 2 bad input.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(p)
    p.add_argument(
        "--ckpt", type=Path, metavar="FILE", help="an encoder: count the utterances too fast for CTC at its rate"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Check and print; return the exit status."""
    arguments = parser().parse_args(argv)
    tasks = read_tasks(arguments.tasks)
    options = Options(**read_data_options(arguments, tasks), samples=built_samples)
    encoder = ScoredEncoder("fbank", "fbank")
    if arguments.ckpt is not None:
        if not arguments.ckpt.is_file():
            raise InputError(f"--ckpt {arguments.ckpt}: no such encoder checkpoint")
        encoder = ScoredEncoder("encoder", UPSTREAM, arguments.ckpt.absolute())
    from mmpt.superb.data_checks import check_job, print_findings
    from mmpt.superb.jobs import make_jobs

    findings = []
    for job in make_jobs(tasks, [encoder], [None], [0], Path("result"), options):
        findings += check_job(job)
    return 1 if print_findings(findings) else 0


if __name__ == "__main__":
    sys.exit(main())
