#!/usr/bin/env python3
"""Write pre-training's manifest of Kinetics-600.

A clip's annotation tells its split and label; folders may have any names.
"""

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmpt.pretrain.manifest import SPLITS, readable
from mmpt.scripts.prepare.clip_command import CorpusDescription, command_line
from mmpt.scripts.prepare.clip_corpus import Candidate, FoundClips, media_files, prepare
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

KINETICS = CorpusDescription(
    name="kinetics600",
    layout="""\
  ROOT
  ├── annotations/                    or ROOT itself, ROOT/kinetics600, or the folder of --annotations
  │   ├── train.csv                   columns label (optional in test), youtube_id, time_start, time_end, split
  │   ├── validate.csv                or val.csv; or a name that ends like this, as kinetics-600_val.csv; or .txt
  │   └── test.csv
  ├── train/…
  ├── val/abseiling/__NrybzYzUg_000415_000425.mp4     YouTube id, first and last second with six digits,
  └── test/--6bJUbfpnQ_000017_000027.mp4              in folders by label or in none
  The complete annotations are in https://storage.googleapis.com/deepmind-media/Datasets/kinetics600.tar.gz; the
  train.csv and val.csv beside the CVDF's copy of the videos are, according to the CVDF, not complete.
""",
    clip="val/abseiling/__NrybzYzUg_000415_000425.mp4",
    splits="as annotated, with val and validate called dev",
    group='the action, or "unlabelled" if the annotation (of the test set) has none',
    example="python scripts/prepare/kinetics600.py --root /corpora/k600 --annotations /corpora/kinetics600 "
    "--out data/kinetics600",
)
COLUMNS = ("youtube_id", "time_start", "time_end")
PLACES = ("annotations", ".", "kinetics600")
SPLIT_OF = {"train": "train", "val": "dev", "validate": "dev", "validation": "dev", "test": "test"}
ANNOTATIONS = re.compile(r"(?:.*[^a-z])?(train|val|validate|validation|test)\.(?:csv|txt)")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".part")  # downloaders leave the last three behind
CLIP = re.compile(r"[\w-]{11}_\d{6}_\d{6}\.mp4", re.ASCII)
UNLABELLED = "unlabelled"


class Annotation(NamedTuple):
    """A line of the annotations."""

    split: str
    label: str

    def rank(self) -> tuple[int, bool]:
        """Return a key: of two annotations of a clip the higher one counts, so that no test clip is trained on."""
        return SPLITS.index(self.split), self.label != UNLABELLED


def find_clips(root: Path, annotations: dict[str, Annotation]) -> FoundClips:
    """Find the annotated files (annotations are by file name); annotated clips without a file count as left out."""
    found, there = FoundClips(), set()
    for file in media_files(root, VIDEO_SUFFIXES, found):
        name = file.rpartition("/")[2]
        if not CLIP.fullmatch(name):
            found.left_out.append((file, "name is not ID_START_END.mp4"))
        elif name not in annotations:
            found.left_out.append((file, "in no annotation"))
        else:
            there.add(name)
            found.candidates.append(Candidate(name.removesuffix(".mp4"), file, "", *annotations[name]))
    absent = annotations.keys() - there - {file.rpartition("/")[2] for file, _ in found.left_out}
    found.left_out += [(name, f"annotated for {annotations[name].split}, but there is no such file") for name in absent]
    return found


def read_annotations(root: Path, named: list[Path]) -> dict[str, Annotation]:
    """Read the split and label of each clip, by the name of its file.

    Args:
        root: of the corpus, which is searched for annotation files if none are named.
        named: annotation files, or folders that hold some.

    Raises:
        InputError: no annotation file is found, or a named file is none.
    """
    places = named or [root / place for place in PLACES]
    annotations: dict[str, Annotation] = {}
    for place in places:
        for file in [place] if place.is_file() else sorted(place.glob("*")):
            if place.is_file() or ANNOTATIONS.fullmatch(file.name):
                for name, annotation in read_table(file, may_be_other=file != place):
                    annotations[name] = max(annotation, annotations.get(name, annotation), key=Annotation.rank)
    if not annotations:
        raise InputError(
            f"no annotations (train.csv, validate.csv or val.csv, test.csv) in {', '.join(map(str, places))}; "
            "name the files or their folder with --annotations (see --help for where to get them)"
        )
    return annotations


def read_table(file: Path, may_be_other: bool) -> Iterator[tuple[str, Annotation]]:
    """Yield the name of the clip's file and the annotation, for each line of an annotation file.

    Args:
        file: the annotation file.
        may_be_other: skip a file without the columns, with a note, instead of raising an error.
    """
    by_name = ANNOTATIONS.fullmatch(file.name)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(readable(lines, file))
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing and may_be_other:
            print(f"note: {file} is skipped: no column {', '.join(missing)}", file=sys.stderr)
            return
        if missing:
            raise InputError(
                f"{file}: no column {', '.join(missing)}; an annotation file has label, {', '.join(COLUMNS)}, split"
            )
        for row in rows:
            try:
                start_s, end_s = int(float(row["time_start"])), int(float(row["time_end"]))
                split = SPLIT_OF[row.get("split") or (by_name[1] if by_name else "")]
            except (TypeError, ValueError, KeyError):
                raise InputError(
                    f"{file}, line {rows.line_num}: {','.join(map(str, row.values()))} is no annotation"
                ) from None
            yield (
                f"{row['youtube_id']}_{start_s:06d}_{end_s:06d}.mp4",
                Annotation(split, row.get("label") or UNLABELLED),
            )


@clean_exit
def main(argv: list[str] | None = None) -> None:
    """Write the manifest."""
    parser = command_line(__doc__, KINETICS)
    parser.add_argument(
        "--annotations",
        type=Path,
        nargs="+",
        default=[],
        metavar="CSV",
        help="annotation files, or folders that hold them (default: searched for in ROOT, see below)",
    )
    options = parser.parse_args(argv)
    found = find_clips(options.root, read_annotations(options.root, options.annotations))
    prepare(KINETICS, found, options)


if __name__ == "__main__":
    sys.exit(main())
