#!/usr/bin/env python3
"""In which form shards should keep pictures: bytes a clip, likeness to the source, and what packing and reading cost.

Every picture must be readable alone, as training takes 16 of a clip's 300: JPEG is compared with H.264 of key frames
only. The clip is synthetic (see synthetic_media.py). Forms take turns, in one process and one thread; times are of the
processor.
"""

import argparse
import sys

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python scripts/benchmark/picture_forms.py --rounds 10",
    )
    p.add_argument("--rounds", type=int, default=7, help="rounds over all forms (default: %(default)s)")
    options = p.parse_args(argv)
    if options.rounds < 1:
        raise InputError(f"--rounds must be at least 1, not {options.rounds}")

    from mmpt.scripts.benchmark.picture_codecs import benchmark

    benchmark(options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
