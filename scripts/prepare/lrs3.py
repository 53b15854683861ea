#!/usr/bin/env python3
"""Write pre-training's manifest of LRS3-TED.

A whole file is a clip, of which training uses the first 10 s. The transcripts are not used.
"""

import re
import sys
from pathlib import Path

from mmpt.scripts.prepare.clip_command import CorpusDescription, command_line, offer_dev_percent
from mmpt.scripts.prepare.clip_corpus import Candidate, FoundClips, media_files, prepare
from mmpt.upstream.command import clean_exit

LRS3 = CorpusDescription(
    name="lrs3",
    layout="""\
  ROOT
  ├── pretrain/00j9bKdiOjk/00001.mp4 …    a folder for each video; beside every .mp4 its .txt, which is not read
  ├── trainval/0af00UcTOSc/50001.mp4 …
  └── test/0Fi83BHQsMA/00002.mp4 …
""",
    clip="pretrain/00j9bKdiOjk/00001.mp4",
    splits="""test is the published one. pretrain and trainval, which may share videos, are
                  train, except for the videos held out for dev; a video that is also in test is left out""",
    group="the video, whose clips show one speaker",
    example="python scripts/prepare/lrs3.py --root /corpora/lrs3 --out data/lrs3",
)
SPLIT_OF = {"pretrain": "train", "trainval": "train", "test": "test"}
CLIP = re.compile(r"(?P<folder>pretrain|trainval|test)/(?P<video>[\w-]+)/\d{5}\.mp4", re.ASCII)


def find_clips(root: Path) -> FoundClips:
    """Find the .mp4 files of the three folders."""
    found = FoundClips()
    for file in media_files(root, (".mp4",), found):
        if match := CLIP.fullmatch(file):
            found.candidates.append(
                Candidate(file.removesuffix(".mp4"), file, "", SPLIT_OF[match["folder"]], match["video"])
            )
        else:
            found.left_out.append((file, "not where LRS3 has its clips"))
    return found


@clean_exit
def main(argv: list[str] | None = None) -> None:
    """Write the manifest."""
    parser = command_line(__doc__, LRS3)
    offer_dev_percent(parser, "videos")
    options = parser.parse_args(argv)
    found = find_clips(options.root)
    found.hold_out(options.dev_percent)
    prepare(LRS3, found, options)


if __name__ == "__main__":
    sys.exit(main())
