#!/usr/bin/env python3
"""Write pre-training's manifest of VoxCeleb2.

The published dev is for training, except for some speakers that are held out for validation.
"""

import re
import sys
from pathlib import Path

from mmpt.scripts.prepare.clip_command import CorpusDescription, command_line, offer_dev_percent
from mmpt.scripts.prepare.clip_corpus import Candidate, FoundClips, media_files, prepare
from mmpt.upstream.command import clean_exit

VOXCELEB2 = CorpusDescription(
    name="voxceleb2",
    layout="""\
  ROOT
  ├── dev/mp4/id00012/21Uxsk56VDQ/00001.mp4 …     speaker, video, track
  ├── dev/aac/id00012/21Uxsk56VDQ/00001.m4a …     only if the mp4 files have no sound of their own
  ├── test/mp4/id00017/01dfn2spqyE/00001.mp4 …
  └── test/aac/…
  Only the last folders, mp4/SPEAKER/VIDEO, and dev or test somewhere above them matter: dev/dev/mp4/…,
  vox2_dev_mp4/dev/mp4/… and vox2_test_mp4/mp4/… are found, too. mp4/ directly in ROOT, where vox2_test_mp4.zip unpacks
  it, is test if there is a dev and no other test.
""",
    clip="dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",
    splits="""the published test is test; the published dev is train, except for the
                  speakers held out for dev""",
    group="the speaker",
    example="python scripts/prepare/voxceleb2.py --root /corpora/VoxCeleb2 --out data/voxceleb2",
)
TRACK = re.compile(
    r"(?P<above>.*/)?(?P<kind>mp4|aac)/(?P<track>(?P<speaker>id\d{5})/[\w-]+/\d{5})\.(?:mp4|m4a)", re.ASCII
)
PART = re.compile(r"(?<![a-z])(dev|test)(?![a-z])")


def find_clips(root: Path) -> FoundClips:
    """Find the tracks with pictures, each with its sound file if it has one."""
    found = FoundClips()
    sounds: dict[str, str] = {}
    for file in media_files(root, (".mp4", ".m4a"), found):
        match = TRACK.fullmatch(file)
        if match and file.endswith(".m4a"):
            sounds[match["track"]] = min(file, sounds.get(match["track"], file))
        elif match and match["kind"] == "mp4":
            found.candidates.append(
                Candidate(match["track"], file, "", part_of(match["above"] or ""), match["speaker"])
            )
        else:
            found.left_out.append((file, "not where VoxCeleb2 has its tracks"))
    lone = sounds.keys() - {clip.id for clip in found.candidates}
    found.left_out += [(sounds[track], "sound without its mp4 file") for track in lone]
    parts = {clip.split for clip in found.candidates}
    bare = "test" if "dev" in parts and "test" not in parts else ""
    split_of = {"dev": "train", "test": "test", "": bare}
    found.left_out += [
        (clip.video, "neither dev nor test in its path") for clip in found.candidates if not split_of[clip.split]
    ]
    found.candidates = [
        clip._replace(split=split_of[clip.split], sound=sounds.get(clip.id, ""))
        for clip in found.candidates
        if split_of[clip.split]
    ]
    return found


def part_of(above: str) -> str:
    """Return dev or test, whichever comes last in the folders above a track; "" if neither does."""
    return ([""] + PART.findall(above.lower()))[-1]


@clean_exit
def main(argv: list[str] | None = None) -> None:
    """Write the manifest."""
    parser = command_line(__doc__, VOXCELEB2)
    offer_dev_percent(parser, "speakers")
    options = parser.parse_args(argv)
    found = find_clips(options.root)
    found.hold_out(options.dev_percent)
    prepare(VOXCELEB2, found, options)


if __name__ == "__main__":
    sys.exit(main())
