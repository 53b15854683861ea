#!/usr/bin/env python3
"""Check a language of MuST-C, and write what stage 2 needs of it: tables of segments, a vocabulary, a report.

Unusable training segments are left out (without translation, without duration, past the end of the talk, too long);
dev and the tests stay whole. OUT/report.md lists every change, and OUT/lengths.png shows how long the segments are.
--shards packs the sound into a few large files.
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
  python scripts/prepare/must_c.py --root /corpora/must_c --target-lang de --out data/must_c_de
  python scripts/prepare/must_c.py --root /corpora/must_c --target-lang de --out data/must_c_de --shards --jobs 16
  python midtrain/run.py --target-lang de --data data/must_c_de --init runs/pretrain/mae-lrs3

--root holds en-xx/data/{train,dev,tst-COMMON,tst-HE}/{wav,txt}, as MuST-C v1, v2 and v3 are published. Without
--shards, the tables name the talks' wavs where they lie now, and segments are read by seeking in them. The same command
continues an interrupted call.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--root", type=Path, required=True, metavar="MUSTC", help="the folder that holds en-de, en-it and so on"
    )
    p.add_argument("--target-lang", required=True, metavar="XX", help="language to translate into: de, it, nl ...")
    add_folder_options(p)
    return p


def add_folder_options(p: argparse.ArgumentParser) -> None:
    """Declare what any corpus of stage 2 is prepared with."""
    add, cores = p.add_argument, len(os.sched_getaffinity(0))
    add("--out", type=Path, required=True, metavar="DIR", help="a new folder, or one that this command began")
    add(
        "--max-frames",
        type=int,
        default=3000,
        metavar="N",
        help="longer training segments (10 ms frames) are left out (default: %(default)s)",
    )
    add(
        "--vocabulary-size",
        type=int,
        default=8000,
        metavar="N",
        help="sub-words; fewer if the text is too small (default: %(default)s)",
    )
    add("--shards", action="store_true", help="pack the sound into tars (FLAC), for disks on which many reads are slow")
    add(
        "--hours-per-shard",
        type=float,
        default=4.0,
        metavar="H",
        help="sound in a tar (default: %(default)s, about 300 MB)",
    )
    add("--jobs", type=int, default=cores, help="processes that pack (default: one per core, here %(default)s)")
    add("--fresh", action="store_true", help="delete what this command wrote into DIR before, and start again")


def check_folder_options(options: argparse.Namespace) -> None:
    """Raise InputError if a number is not above 0."""
    for name in ("max_frames", "vocabulary_size", "jobs", "hours_per_shard"):
        if getattr(options, name) <= 0:
            raise InputError(f"--{name.replace('_', '-')} must be above 0, not {getattr(options, name):g}")


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Prepare the corpus; return the exit status."""
    options = parser().parse_args(argv)
    check_folder_options(options)
    from mmpt.midtrain.corpus import PublishedCorpus
    from mmpt.midtrain.published_must_c import language_folder
    from mmpt.scripts.prepare.must_c_folder import prepare

    folder = language_folder(options.root, options.target_lang)
    prepare(PublishedCorpus(folder, options.target_lang, options.max_frames), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
