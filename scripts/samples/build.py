#!/usr/bin/env python3
"""Build the sample corpora from samples/, in the layouts of the published corpora, for every stage to run on.

DIR gets audio-visual clips (av), MuST-C (must_c), Speech Commands, Fluent Speech Commands, LibriSpeech and two-speaker
mixtures (diarization), all with one split. Its README.md tells what is real, synthetic and rendered. Dev and test are
always the same; training is a part by default, and all of it with --full. The same samples give the same bytes. DIR
appears only when it is complete; called again, the command finds it complete and does nothing.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

try:
    from mmpt.upstream.command import clean_exit
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

EXAMPLES = """\
example:
  python scripts/samples/build.py --out data/samples          a small set: one to two minutes on two cores, 2 GB
  python scripts/samples/build.py --out data/full --full      all training data: three to four minutes, 3 GB
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = len(os.sched_getaffinity(0))
    samples = REPOSITORY / "samples"
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to build")
    p.add_argument(
        "--jobs", type=int, default=cores, metavar="N", help="processes (default: one per core, %(default)s)"
    )
    p.add_argument(
        "--full", action="store_true", help="all training data; a full folder is never replaced by a small one"
    )
    p.add_argument("--fresh", action="store_true", help="rebuild samples that are built; nothing else is ever deleted")
    p.add_argument(
        "--samples", type=Path, default=samples, metavar="DIR", help="the recordings (default: the repository's)"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Build the samples; return the exit status."""
    arguments = parser().parse_args(argv)
    if arguments.jobs < 1:
        raise InputError(f"--jobs must be at least 1, not {arguments.jobs}")
    from mmpt.scripts.samples.builder import build_samples

    signal.signal(signal.SIGTERM, interrupt)
    print(build_samples(arguments.out, arguments.samples, arguments.jobs, arguments.full, arguments.fresh))
    return 0


def interrupt(*_: object) -> None:
    """Turn a termination signal into an exception, so that the half-built folder is deleted."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
