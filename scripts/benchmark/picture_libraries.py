"""Time torchvision against what else could decode, crop and resize the pictures of stage 1.

Decoding is compared with FFmpeg's mjpeg decoder through PyAV, cropping and resizing with torch's own `interpolate`, and
reading whole clips from shards, in this process and by DataLoader workers, with both decoders. One thread each. The
sides take turns; a ratio is torchvision's time over the other's, of one turn. The pictures are synthetic, as large as
those of shards.
"""

import argparse
import sys

from mmpt.scripts.benchmark.comma_list import numbers
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  python scripts/benchmark/picture_libraries.py                           some two minutes
  python scripts/benchmark/picture_libraries.py --rounds 100 --workers 0,2,8
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--rounds", type=int, default=40, help="(default: %(default)s)")
    p.add_argument(
        "--workers", type=numbers, default="0,2", metavar="LIST", help="of the DataLoader (default: %(default)s)"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    options = parser().parse_args(argv)
    if options.rounds < 1:
        raise InputError(f"--rounds must be at least 1, not {options.rounds}")
    from mmpt.scripts.benchmark.picture_sides import measure

    measure(options.rounds, options.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
