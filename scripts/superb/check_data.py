"""Check the corpora of SUPERB tasks before training: layout, counts, and what makes S3PRL fail, loop or be wrong."""

import argparse
import sys
from pathlib import Path

from mmpt.scripts.samples.locate import built_samples
from mmpt.superb.encoders import ScoredEncoder, read_encoders
from mmpt.superb.options import Options, add_data_arguments, add_encoder_flags, read_data_options, read_tasks
from mmpt.upstream.command import clean_exit

EXAMPLES = """\
examples:
  python scripts/superb/check_data.py                                  the built samples, or what data.yaml names
  python scripts/superb/check_data.py --data-root /corpora --tasks pr,asr --ckpt encoder.pt
  python scripts/superb/check_data.py --tasks asr --encoder hf:/models/wavlm-base
Exit status: 0 all is well (there may be warnings), 1 something would fail or be wrong, 2 bad input.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(p)
    title = "count the utterances that are too fast for CTC at the encoders' rate, the slowest of several"
    add_encoder_flags(p.add_argument_group(title))
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Check and print; return the exit status."""
    arguments = parser().parse_args(argv)
    tasks = read_tasks(arguments.tasks)
    options = Options(**read_data_options(arguments, tasks), samples=built_samples)
    named = read_encoders(arguments.encoders) if arguments.encoders else []
    from mmpt.superb.data_checks import check_job, ctc_hop, print_findings
    from mmpt.superb.jobs import make_jobs

    findings = []
    for task in tasks:
        jobs = make_jobs([task], named or [ScoredEncoder("fbank", "fbank")], [None], [0], Path("result"), options)
        findings += check_job(jobs[0], ctc_hop(jobs) if named else None)
    return 1 if print_findings(findings) else 0


if __name__ == "__main__":
    sys.exit(main())
