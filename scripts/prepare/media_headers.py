"""What the headers of media files say, read in parallel and kept in a journal: a call that was killed goes on where it was."""

import fcntl
import json
import os
import stat
import time
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import av
from tqdm import tqdm

from mmpt.training.media import OPEN_OPTIONS, MediaError, origin, pick, picture_rate, plain
from mmpt.upstream.errors import InputError

FLUSH_EVERY_S = 1.0
FILES_A_TASK = 16  # large enough that handing out work costs nothing, small enough that the bar moves


class Header(NamedTuple):
    """A file's size in bytes and time of change, and until when its pictures and its sound last, in seconds on the file's clock;
    where it has none that can be used, the reason instead.
    """

    size: int
    mtime_ns: int
    video: float | str
    audio: float | str


class Journal:
    """Headers that have been read, one JSON object a line; use it as a context. `known`: those of earlier calls, by file.

    Raises:
        InputError: another call is writing it.
    """

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> "Journal":
        self.file = self.path.open("a+b")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.file.close()
            raise InputError(
                f"{self.path}: another call is at work in this folder; wait for it, or choose another --out"
            ) from None
        except OSError:  # some network file systems have no locks
            pass
        self.file.seek(0)
        self.known = {file: header for file, header in map(entry_of, self.file) if header}
        if self.file.tell() and not self.ends_with_a_line():
            self.file.write(b"\n")  # so that the next entry is not glued to one that a kill cut off
        self.flushed = time.monotonic()
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def ends_with_a_line(self) -> bool:
        self.file.seek(-1, os.SEEK_END)
        return self.file.read(1) == b"\n"

    def add(self, file: str, header: Header) -> None:
        self.file.write(json.dumps({"file": file, **header._asdict()}).encode("ascii") + b"\n")
        if time.monotonic() - self.flushed > FLUSH_EVERY_S:
            self.file.flush()
            self.flushed = time.monotonic()


def entry_of(line: bytes) -> tuple[str, Header | None]:
    """File and header of a line of a journal; no header if the line is cut off or of another version."""
    try:
        entry = json.loads(line)
        return entry.pop("file"), Header(**entry)
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", None


def read_headers(root: Path, files: list[str], journal: Journal, jobs: int, title: str) -> dict[str, Header]:
    """The header of each file (paths below root): from the journal where size and time still fit, else read and added to it.

    jobs: files that are read at the same time. By threads: FFmpeg works outside Python's lock, and over 1500 files on two
    cores they were as fast as processes or faster, start at once and need no copy of the program each.
    """
    headers = {}
    with ThreadPool(jobs) as pool:
        found = pool.imap_unordered(partial(header_of, str(root), journal.known), files, chunksize=FILES_A_TASK)
        for file, header, is_new in tqdm(found, total=len(files), desc=title, unit="file", dynamic_ncols=True):
            headers[file] = header
            if is_new:
                journal.add(file, header)
    return headers


def header_of(root: str, known: dict[str, Header], file: str) -> tuple[str, Header, bool]:
    """(file, its header, whether it belongs into the journal)."""
    path = f"{root}/{file}"
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            return file, unread("not a regular file"), False
        old = known.get(file)
        if old and (old.size, old.mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return file, old, False
        return file, Header(facts.st_size, facts.st_mtime_ns, *read_streams(path, facts.st_size)), True
    except OSError as error:  # the file system's trouble, not the file's: the next call tries again
        return file, unread(f"cannot be read: {plain(error)}"), False


def unread(reason: str) -> Header:
    """Stands for a header that was not to be had."""
    return Header(-1, -1, reason, reason)


def read_streams(path: str, size: int) -> tuple[float | str, float | str]:
    """Header.video and Header.audio of a regular file, with the streams that training would take. OSError if it cannot be read."""
    if size == 0:
        return "empty file", "empty file"
    try:
        with av.open(path, options=OPEN_OPTIONS, metadata_errors="replace") as container:
            return end_of(container, "video"), end_of(container, "audio")
    except OSError:
        raise
    except (av.error.FFmpegError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        reason = f"cannot be opened: {plain(error)}"
        return reason, reason


def end_of(container: av.container.InputContainer, kind: str) -> float | str:
    """Until when a file's stream lasts, or why it cannot be used."""
    try:
        stream = pick(getattr(container.streams, kind), kind)
        if kind == "video":
            picture_rate(stream)  # training cannot do without
    except MediaError as error:
        return str(error)
    whole_s = (container.duration or 0) / av.time_base
    end_s = (
        float(((stream.start_time or 0) + stream.duration) * stream.time_base) - origin(container)
        if stream.duration
        else whole_s
    )
    return end_s if round(end_s, 6) > 0 else f"{kind} without duration"
