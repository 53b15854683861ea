"""Headers of media files, read in parallel and kept in a journal, from which a call that was killed continues."""

import json
import os
import stat
import time
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import av

from mmpt.training.media import OPEN_OPTIONS, MediaError, origin, pick, picture_rate, plain
from mmpt.upstream.progress import Progress

FLUSH_EVERY_S = 1.0
FILES_A_TASK = 16  # large enough that handing out work costs nothing, small enough that the bar moves


class Header(NamedTuple):
    """What is known of a media file."""

    size: int  # in bytes
    mtime_ns: int  # time of the last change
    video: float | str  # when its pictures end, in seconds on the file's clock; or why they are unusable
    audio: float | str  # when its sound ends; or why it is unusable


class Journal:
    """A file of the headers that have been read, one JSON object per line; use it as a context.

    Attributes:
        known: headers that earlier calls read, by file.
    """

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> "Journal":
        self.file = self.path.open("a+b")
        self.file.seek(0)
        self.known = {file: header for file, header in map(entry_of, self.file) if header}
        if self.file.tell() and not self.ends_with_a_line():
            self.file.write(b"\n")  # so that the next entry is apart from one that a kill cut off
        self.flushed = time.monotonic()
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def ends_with_a_line(self) -> bool:
        """Return True if the last line is complete."""
        self.file.seek(-1, os.SEEK_END)
        return self.file.read(1) == b"\n"

    def add(self, file: str, header: Header) -> None:
        """Append a header; it is on the disk a second later at most, with the next one."""
        self.file.write(json.dumps({"file": file, **header._asdict()}).encode("ascii") + b"\n")
        if time.monotonic() - self.flushed > FLUSH_EVERY_S:
            self.file.flush()
            self.flushed = time.monotonic()


def entry_of(line: bytes) -> tuple[str, Header | None]:
    """Return the file and header in a journal's line; no header if the line is cut off or of another version."""
    try:
        entry = json.loads(line)
        return entry.pop("file"), Header(**entry)
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", None


def read_headers(root: Path, files: list[str], journal: Journal, jobs: int, title: str) -> dict[str, Header]:
    """Return each file's header: from the journal if size and time are the same, else read and added to the journal.

    Threads do the work: FFmpeg runs outside of Python's lock. With 1500 files on two cores, threads were at least as
    fast as processes, which start later and each need a copy of the program.

    Args:
        root: of the corpus.
        files: paths in root.
        journal: of the output folder.
        jobs: files to read at the same time.
        title: of the progress bar.
    """
    headers = {}
    with ThreadPool(jobs) as pool:
        found = pool.imap_unordered(partial(header_of, str(root), journal.known), files, chunksize=FILES_A_TASK)
        for file, header, is_new in Progress(found, total=len(files), desc=title, unit="file", dynamic_ncols=True):
            headers[file] = header
            if is_new:
                journal.add(file, header)
    return headers


def header_of(root: str, known: dict[str, Header], file: str) -> tuple[str, Header, bool]:
    """Return the file, its header, and whether to add it to the journal."""
    path = f"{root}/{file}"
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            return file, unread("not a regular file"), False
        old = known.get(file)
        if old and (old.size, old.mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return file, old, False
        return file, Header(facts.st_size, facts.st_mtime_ns, *read_streams(path, facts.st_size)), True
    except OSError as error:  # the file system's fault, not the file's: the next call tries again
        return file, unread(f"cannot be read: {plain(error)}"), False


def unread(reason: str) -> Header:
    """Return a header for a file that could not be read."""
    return Header(-1, -1, reason, reason)


def read_streams(path: str, size: int) -> tuple[float | str, float | str]:
    """Return Header.video and Header.audio of a regular file, of the streams that training would use.

    Raises:
        OSError: the file cannot be read.
    """
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
    """Return when a file's stream ends, in seconds, or why it is unusable."""
    try:
        stream = pick(getattr(container.streams, kind), kind)
        if isinstance(stream, av.VideoStream):
            picture_rate(stream)  # training needs it
    except MediaError as error:
        return str(error)
    whole_s = (container.duration or 0) / av.time_base
    end_s = (
        float(((stream.start_time or 0) + stream.duration) * stream.time_base) - origin(container)
        if stream.duration and stream.time_base
        else whole_s
    )
    return end_s if round(end_s, 6) > 0 else f"{kind} without duration"
