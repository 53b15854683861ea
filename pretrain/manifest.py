"""The list of audio-visual clips that pre-training reads, whatever corpus they come from."""

import csv
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmpt.upstream.errors import InputError

COLUMNS = ("id", "video", "audio", "start_s", "duration_s", "split", "set", "group")
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
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
            video = path.parent / row["video"]
            audio = video if row["audio"] == row["video"] else path.parent / row["audio"]
            clips.append(Clip(row["id"], video, audio, start_s, duration_s, row["split"], row["set"], row["group"]))
            check(clips[-1], ids, where)
    if not clips:
        raise InputError(f"{path}: lists no clip")
    return clips


def write_manifest(path: Path, clips: Iterable[Clip]) -> int:
    """Writes a manifest as read_manifest reads it, in the order of the clips, and returns how many there are.

    A file inside the manifest's folder is written relative to it, so that the folder can be moved as a whole; any other file
    is written with its absolute path, so that the manifest can be moved. Seconds have 6 decimals. The manifest appears
    under its name when it is whole.

    Raises:
        InputError: a clip that read_manifest would refuse; a tab, a line break or a byte that is not UTF-8 in a name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    folder = f"{path.parent.absolute()}{os.sep}"
    ids = set()
    try:
        with half.open("w", encoding="utf-8", newline="") as file:
            file.write("\t".join(COLUMNS) + "\n")
            for clip in clips:
                where = f"{path}: clip {clip.id!r}"
                check(clip, ids, where)
                files = (str(name.absolute()).removeprefix(folder) for name in (clip.video, clip.audio))
                fields = (
                    clip.id,
                    *files,
                    f"{clip.start_s:.6f}",
                    f"{clip.duration_s:.6f}",
                    clip.split,
                    clip.set,
                    clip.group,
                )
                file.write(tab_separated(fields, where))
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return len(ids)


def check(clip: Clip, ids: set[str], where: str) -> None:
    """Adds a clip's id to `ids`; InputError, which begins with `where`, if the clip has no place in a manifest."""
    if not (0 <= clip.start_s < math.inf and 0 < round(clip.duration_s, 6) < math.inf):
        raise InputError(f"{where}: start_s {clip.start_s:g} and duration_s {clip.duration_s:g} are no part of a file")
    if clip.split not in SPLITS:
        raise InputError(f"{where}: split is {clip.split!r}, one of {', '.join(SPLITS)} was expected")
    if clip.id in ids:
        raise InputError(f"{where}: id {clip.id!r} stands there twice")
    ids.add(clip.id)


def tab_separated(fields: tuple[str, ...], where: str) -> str:
    """A line; InputError if a field cannot stand in one."""
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
