"""The list of audio-visual clips that pre-training reads, whatever corpus they come from."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmpt.upstream.errors import InputError

COLUMNS = ("id", "video", "audio", "start_s", "duration_s", "split", "set", "group")
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Clip:
    """One clip: `start_s` and `duration_s` of a video file and an audio file (often the same one).

    `group` is what clips have in common beside the moment, a speaker or an action: retrieval is also scored inside it.
    """

    id: str
    video: Path
    audio: Path
    start_s: float
    duration_s: float
    split: str
    set: str
    group: str


def read_manifest(path: Path) -> list[Clip]:
    """Clips of a manifest: UTF-8, tab separated, one header line with the names in COLUMNS in any order; files relative to
    the manifest's folder.

    Raises:
        InputError: there is no such file, a column is missing, or a line does not fit (named by its number).
    """
    if not path.is_file():
        raise InputError(f"{path}: no such manifest")
    clips, ids = [], set()
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(readable(file, path), delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; a manifest has {', '.join(COLUMNS)}")
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise InputError(f"{where}: does not have {len(rows.fieldnames)} columns")
            start_s, duration_s = (seconds(row[name], where, name) for name in ("start_s", "duration_s"))
            if start_s < 0 or duration_s <= 0:
                raise InputError(f"{where}: start_s {start_s:g} and duration_s {duration_s:g} are no part of a file")
            if row["split"] not in SPLITS:
                raise InputError(f"{where}: split is {row['split']!r}, one of {', '.join(SPLITS)} was expected")
            if row["id"] in ids:
                raise InputError(f"{where}: id {row['id']!r} stands there twice")
            ids.add(row["id"])
            files = (path.parent / row["video"], path.parent / row["audio"])
            clips.append(Clip(row["id"], *files, start_s, duration_s, row["split"], row["set"], row["group"]))
    if not clips:
        raise InputError(f"{path}: lists no clip")
    return clips


def readable(lines: Iterator[str], path: Path) -> Iterator[str]:
    """The lines; InputError at the first that is not UTF-8 text."""
    try:
        yield from lines
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None


def seconds(text: str, where: str, name: str) -> float:
    """A finite number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {name} is {text!r}, not a number of seconds")
    return value
