#!/usr/bin/env python3
"""Write the clips of a manifest as tar shards, which training reads several times as fast as video files.

Of each clip's first 10 s, a shard holds the sound (16 kHz mono FLAC) and the pictures (JPEG, 256 pixels on the short
side), so that training decodes only the 16 pictures that it uses. The tars are WebDataset's; OUT/index.tsv tells where
each clip lies.
"""

import argparse
import os
import sys
from pathlib import Path

try:
    from mmpt.upstream.command import clean_exit
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  python scripts/prepare/shards.py kinetics/manifest.tsv --out kinetics/shards     call it again to continue
  python scripts/prepare/shards.py clips.tsv --out shards --quality 75 --jobs 16   smaller pictures, 16 processes
  python scripts/prepare/shards.py --out shards --verify                           compare all bytes with checksums
  (cd shards && sha256sum -c SHA256SUMS)                                           the same without this program
  python pretrain/run.py --data shards                                             train on them

A clip of 10 s and 340x256 pixels takes about 4 MB (--quality 75: 3 MB), and a core packs about one per second. An
interrupted call continues with the shard that it was writing. Unreadable clips are left out and listed with the reason
in OUT/skipped.jsonl. At the end stands how large the shards are, and how much shared memory (/dev/shm) training needs.
"""
RANGES = {
    "short_side": (16, 4096),
    "quality": (1, 100),
    "clips_per_shard": (1, 1_000_000),
    "jobs": (1, 1024),
    "max_bad_share": (0, 1),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, cores = p.add_argument, len(os.sched_getaffinity(0))
    add("manifest", type=Path, nargs="?", metavar="MANIFEST", help="the clips (see `python pretrain/run.py --help`)")
    add("--out", type=Path, required=True, metavar="DIR", help="a new folder, or one that this command began")
    add(
        "--short-side",
        type=int,
        default=256,
        metavar="PIXELS",
        help="pictures are scaled down to this, never up (default: %(default)s)",
    )
    add("--quality", type=int, default=85, help="of the JPEG pictures, 1 to 100 (default: %(default)s)")
    add("--clips-per-shard", type=int, default=500, metavar="N", help="(default: %(default)s, about 2 GB)")
    add("--jobs", type=int, default=cores, help="processes (default: one per core, here %(default)s)")
    add(
        "--max-bad-share",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="end with an error if more of the clips are unreadable (default: %(default)s); finished shards are kept",
    )
    add("--fresh", action="store_true", help="delete the shards in DIR and start again")
    add("--verify", action="store_true", help="only compare the files in DIR with their checksums")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Write or verify shards; return the exit status."""
    options = parser().parse_args(argv)
    for name, (least, most) in RANGES.items():
        if not least <= getattr(options, name) <= most:
            raise InputError(f"--{name.replace('_', '-')} must be {least} to {most}, not {getattr(options, name)}")
    from mmpt.scripts.prepare.shard_folder import ShardForm, make_shards, verify

    if options.verify:
        verify(options.out, options.jobs)
        return 0
    if options.manifest is None:
        raise InputError("no manifest named; only --verify does without one")
    form = ShardForm(options.short_side, options.quality, options.clips_per_shard)
    make_shards(options.manifest, options.out, form, options.jobs, options.max_bad_share, options.fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
