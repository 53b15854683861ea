"""Time S3PRL's own training loop on KS and PR with states kept on disk against computing them anew.

The contenders take turns in one process. A third one has an encoder that answers at once with zeros of the right shape:
its time is the runner's own share (reading sound, featurizer, head, optimiser), which no cache can save. All train on
the same batches, drawn by the same seed; the cache is filled by a first pass that is not timed. The encoder is
untrained, which changes no time.
"""

import argparse
import sys
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import PRESETS
from mmpt.upstream.repository import read_build

EXAMPLES = """\
examples:
  python scripts/benchmark/kept_states.py                       `base` on the samples, some minutes on two cores
  python scripts/benchmark/kept_states.py --data-root /corpora --steps 200 --batch own --workers 4     on a GPU
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--tasks", default="ks,pr", metavar="LIST", help="tasks of SUPERB (default: %(default)s)")
    p.add_argument(
        "--preset", choices=sorted(PRESETS), default="base", help="sizes of the encoder (default: %(default)s)"
    )
    p.add_argument("--data-root", metavar="DIR", help="corpora; default: the built samples")
    p.add_argument(
        "--batch",
        choices=["quick", "own"],
        default="own",
        help="batch sizes of the samples' settings, or the tasks' own (default: %(default)s)",
    )
    p.add_argument("--steps", type=int, default=10, help="steps of a round (default: %(default)s)")
    p.add_argument("--rounds", type=int, default=3, help="timed rounds, after one that is not (default: %(default)s)")
    p.add_argument("--workers", type=int, default=0, help="loader processes (default: %(default)s)")
    p.add_argument("--threads", type=int, default=2, help="threads of the processor (default: %(default)s)")
    p.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda if available")
    p.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    options = parser().parse_args(argv)

    from mmpt.scripts.benchmark.state_runners import benchmark
    from mmpt.upstream.s3prl_runner.launcher import best_device

    if options.batch == "quick" and options.data_root and not read_build(Path(options.data_root)):
        raise InputError(f"--batch quick is of the samples' settings, and {options.data_root} is no build of them")
    options.device = options.device or best_device()
    benchmark(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
