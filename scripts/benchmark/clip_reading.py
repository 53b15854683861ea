#!/usr/bin/env python3
"""How many clips a second one core reads for stage 1, from shards and from video files.

(a) Clips of 10 s: shards against decoding the mp4, all of a training clip (10 s of sound, 16 pictures of 224 pixels).
(b) A clip of 10 s anywhere in a video of five minutes with a key frame every 2 s: seeking against reading on.
(c) What a worker sends of a clip in shards: means of tubelets, or JPEG files, against pictures.
(d) Shards whose pictures have 224 pixels on the short side against 256.

One process, one thread. The two sides of a comparison take turns, clip by clip, so that other work of the machine slows
both. The media are synthetic (see synthetic_media.py) and lie in the page cache: disks and networks are not measured.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  python scripts/benchmark/clip_reading.py                                  some minutes, most of them for the media
  python scripts/benchmark/clip_reading.py --media /tmp/clips --rounds 20   keep the media there for the next time
  python scripts/benchmark/clip_reading.py --media /tmp/clips --profile     show where the time goes, too
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--media", type=Path, metavar="DIR", help="where the synthetic media are kept (default: a temporary folder)"
    )
    p.add_argument(
        "--rounds", type=int, default=10, help="rounds over all clips; (b) has a third (default: %(default)s)"
    )
    p.add_argument("--quality", type=int, default=85, help="of the shards' JPEG pictures (default: %(default)s)")
    p.add_argument("--profile", action="store_true", help="show where the time goes")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    options = parser().parse_args(argv)
    if options.rounds < 1:
        raise InputError(f"--rounds must be at least 1, not {options.rounds}")

    from mmpt.scripts.benchmark.reading_sides import benchmark

    with tempfile.TemporaryDirectory() as temporary:
        benchmark(options.media or Path(temporary), options.rounds, options.quality, options.profile)
    return 0


if __name__ == "__main__":
    sys.exit(main())
