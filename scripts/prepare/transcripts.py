#!/usr/bin/env python3
"""Prepare LibriSpeech for stage 2, with transcripts in place of translations: mid-training on speech recognition.

The encoder then learns from transcribed speech, alone or after translations. OUT is as of scripts/prepare/must_c.py.
"""

import argparse
import sys
from pathlib import Path

try:
    from mmpt.upstream.command import clean_exit
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.scripts.prepare.must_c import add_folder_options, check_folder_options

EXAMPLES = """\
examples:
  python scripts/prepare/transcripts.py --root /corpora/LibriSpeech --out data/transcripts
  python scripts/prepare/transcripts.py --root data/full/LibriSpeech --train train-clean-100 train-other-500 \\
      --vocabulary-size 500 --out data/full_transcripts
  python midtrain/run.py --target-lang en --data data/transcripts --init runs/midtrain/it-must_c ctc.weight=1

The tables name the recordings where they lie now; --shards packs them. `mmpt translate` then transcribes.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = p.add_argument
    add("--root", type=Path, required=True, metavar="LIBRISPEECH", help="the folder that holds train-clean-100")
    for name, default in (("train", "train-clean-100"), ("dev", "dev-clean"), ("test", "test-clean")):
        add(f"--{name}", nargs="+", default=[default], metavar="FOLDER", help=f"default: {default}")
    add_folder_options(p)
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Prepare the corpus; return the exit status."""
    options = parser().parse_args(argv)
    check_folder_options(options)
    from mmpt.midtrain.transcripts import TranscribedCorpus
    from mmpt.scripts.prepare.must_c_folder import prepare

    folders = {"train": options.train, "dev": options.dev, "tst-COMMON": options.test}
    prepare(TranscribedCorpus(options.root, folders, options.max_frames), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
