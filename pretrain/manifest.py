"""Manifests: lists of audio-visual clips for pre-training, from any corpus. Imports no torch."""

import csv
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import replacing

COLUMNS = ("id", "video", "audio", "start_s", "duration_s", "split", "set", "group")
SPLITS = ("train", "dev", "test")
USED_S = 10.0  # of a clip, from its start: the paper's 1000 frames


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip: `duration_s` from `start_s` on of a video file and an audio file (often the same file).

    A `group` holds the clips of a speaker or an action: retrieval is also scored inside groups.
    """

    id: str
    video: Path
    audio: Path
    start_s: float
    duration_s: float
    split: str
    set: str
    group: str


def used_s(duration_s: float) -> float:
    """Return the seconds that are used of a clip of this duration."""
    return min(duration_s, USED_S)


def read_manifest(path: Path) -> list[Clip]:
    """Return the clips of a manifest.

    A manifest is UTF-8 text, tab separated, with a header of the names in COLUMNS in any order. Files are relative to
    its folder.

    Raises:
        InputError: there is no such file, a column is missing, or a line does not fit (the error gives its number).
    """
    if not path.is_file():
        raise InputError(f"{path}: no such manifest")
    clips: list[Clip] = []
    ids: set[str] = set()
    with path.open(encoding="utf-8-sig", newline="") as file:  # Windows begins a file with a mark
        rows = csv.DictReader(readable(file, path), delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; a manifest has {', '.join(COLUMNS)}")
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise InputError(f"{where}: does not have {len(rows.fieldnames or ())} columns")
            start_s, duration_s = (seconds(row[name], where, name) for name in ("start_s", "duration_s"))
            video = path.parent / row["video"]
            audio = video if row["audio"] == row["video"] else path.parent / row["audio"]
            clips.append(Clip(row["id"], video, audio, start_s, duration_s, row["split"], row["set"], row["group"]))
            check(clips[-1], ids, where)
    if not clips:
        raise InputError(f"{path}: lists no clip")
    return clips


def write_manifest(path: Path, clips: Iterable[Clip]) -> int:
    """Write a manifest, in the order of the clips and whole or not at all; return the number of clips.

    A file inside the manifest's folder is written relative to it, so that the folder can be moved as a whole; any other
    file is written with its absolute path, so that the manifest can be moved. Seconds have 6 decimals.

    Raises:
        InputError: read_manifest would refuse a clip, or a name holds a tab, a line break or a byte that is not UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = f"{path.parent.absolute()}{os.sep}"
    ids: set[str] = set()
    with replacing(path, sync=True) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for clip in clips:
            where = f"{path}: clip {clip.id!r}"
            check(clip, ids, where)
            files = (str(name.absolute()).removeprefix(folder) for name in (clip.video, clip.audio))
            times = (f"{clip.start_s:.6f}", f"{clip.duration_s:.6f}")
            file.write(tab_separated((clip.id, *files, *times, clip.split, clip.set, clip.group), where))
    return len(ids)


def check(clip: Clip, ids: set[str], where: str) -> None:
    """Add a clip's id to `ids`; raise InputError, which begins with `where`, if the clip does not fit a manifest."""
    if not (0 <= clip.start_s < math.inf and 0 < round(clip.duration_s, 6) < math.inf):
        raise InputError(f"{where}: start_s {clip.start_s:g} and duration_s {clip.duration_s:g} are no part of a file")
    if clip.split not in SPLITS:
        raise InputError(f"{where}: split is {clip.split!r}, one of {', '.join(SPLITS)} was expected")
    if clip.id in ids:
        raise InputError(f"{where}: id {clip.id!r} is listed twice")
    ids.add(clip.id)


def tab_separated(fields: tuple[str, ...], where: str) -> str:
    """Return fields as a line; raise InputError if one of them would break it."""
    line = "\t".join(fields)
    try:
        line.encode("utf-8")
        fits = line.count("\t") < len(fields) and "\n" not in line and "\r" not in line
    except UnicodeEncodeError:  # a file name of other bytes
        fits = False
    if not fits:
        raise InputError(
            f"{where}: {line!r} has a tab, a line break or a byte that is not UTF-8 in a name; rename the file"
        )
    return line + "\n"


def readable(lines: Iterator[str], path: Path) -> Iterator[str]:
    """Yield the lines; raise InputError at the first that is not UTF-8 text."""
    try:
        yield from lines
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None


def seconds(text: str, where: str, name: str) -> float:
    """Return a finite number of seconds (InputError if the text is none)."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {name} is {text!r}, not a number of seconds")
    return value
