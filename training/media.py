"""Sound and video files, opened and decoded by PyAV; whatever is wrong with a file becomes a MediaError."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

SAME_S = 1e-6  # times nearer to each other than this are the same
CUT_S = 1.0  # a file that ends so much earlier than its header tells counts as cut off
STILL = av.stream.Disposition.attached_pic | av.stream.Disposition.still_image | av.stream.Disposition.timed_thumbnails
NO_TIMESTAMPS: Any = av.format.Flags.no_timestamps.value  # a number, whatever the type stubs tell
# A text file may be a playlist of web addresses: training never waits for a server.
OPEN_OPTIONS = {"protocol_whitelist": "file"}


class MediaError(Exception):
    """A file has no usable sound or picture. The message is the reason, in one line."""


@contextmanager
def media_errors(what: str) -> Iterator[None]:
    """Put `what` in front of a MediaError's reason; turn whatever PyAV raises for bad files into a MediaError."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{what}: {error}") from None
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise MediaError(f"{what}: damaged ({plain(error)})") from None


def plain(error: Exception) -> str:
    """Return an error's message in one line, without its number and the path."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def open_media(path: Path) -> av.container.InputContainer:
    """Return the file, opened.

    Raises:
        MediaError: the file is missing, is no media file, or is no regular file (a reader of a named pipe could wait
            forever).
    """
    try:
        status = os.stat(path)
    except OSError as error:
        problem = (
            "link to a file that is not there"
            if os.path.islink(path) and isinstance(error, FileNotFoundError)
            else error.strerror
        )
        raise MediaError(f"{path.name}: {problem}") from None
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(
            f"{path.name}: {'a folder' if stat.S_ISDIR(status.st_mode) else 'a pipe or device'}, not a file"
        )
    if status.st_size == 0:
        raise MediaError(f"{path.name}: empty file")
    try:
        # Without "file:" a name with a colon would be taken for a protocol.
        return av.open(f"file:{path}", options=OPEN_OPTIONS, metadata_errors="replace")
    except PermissionError:
        raise MediaError(f"{path.name}: no permission to read it") from None
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise MediaError(f"{path.name}: not a media file, or damaged ({plain(error)})") from None


class MediaStream:
    """The first sound or video stream of a file, opened; a context.

    Times are seconds from the file's first time stamp, as in a player.

    Args:
        path: the file.
        kind: "audio" or "video".

    Raises:
        MediaError: the file cannot be opened, or has no such stream that moves and can be decoded.
    """

    def __init__(self, path: Path, kind: str):
        self.path = path
        self.kind = kind
        self.open()

    def open(self) -> None:
        self.container = open_media(self.path)
        try:
            # PyAV's classes of streams and frames differ by kind, which no type here can follow.
            self.stream: Any = pick(getattr(self.container.streams, self.kind), self.kind)
        except MediaError:
            self.container.close()
            raise
        self.origin_s = origin(self.container)
        self.is_fresh = True

    def close(self) -> None:
        self.container.close()

    def __enter__(self) -> "MediaStream":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def decoded(self, from_s: float) -> Iterator[tuple[float, Any]]:
        """Yield (seconds, frame), beginning at or before `from_s`, without decoding all that lies before it.

        Some formats (AVI, FLV, MOV, MPEG-TS) seek by decoding time or by a guess, and may land too late: then the next
        try starts further back.
        """
        back_s = 0.0
        while from_s - back_s > 0:
            if self.seek(from_s - back_s):
                frames = self.timed(None)
                first = next(frames, None)
                if first and first[0] <= from_s + SAME_S:
                    yield first
                    yield from frames
                    return
            back_s = 2 * back_s + 1
        if not self.is_fresh:  # seeking to the start is not exact either
            self.close()
            self.open()
        yield from self.timed(0.0)

    def seek(self, to_s: float) -> bool:
        """Seek to a point at or before `to_s` where decoding can start; return False if the format cannot."""
        if self.container.format.flags & NO_TIMESTAMPS:
            return False
        self.is_fresh = False
        try:
            self.container.seek(int((to_s + self.origin_s) / self.stream.time_base), stream=self.stream, backward=True)
        except (av.error.FFmpegError, OSError, ValueError, OverflowError):
            return False
        return True

    def timed(self, first_s: float | None) -> Iterator[tuple[float, Any]]:
        """Yield (seconds, frame) from the current position.

        A frame without a time stamp begins where the one before it ends; the first one begins at `first_s`.
        """
        self.is_fresh = False
        time, before = first_s, None
        frames: Iterator[Any] = self.container.decode(self.stream)
        for frame in frames:
            if frame.time is not None:
                time = frame.time - self.origin_s
            elif time is None:
                raise MediaError("no time stamps")
            elif before:
                time += (
                    before.samples / before.sample_rate
                    if isinstance(before, av.AudioFrame)
                    else 1 / picture_rate(self.stream)
                )
            yield time, frame
            before = frame

    def expected_end(self, to_s: float) -> float:
        """Return when a stream that is read up to `to_s` should end, in seconds.

        This is `to_s`, unless the header tells that the stream is shorter than its file.
        """
        file_s = self.container.duration / av.time_base if self.container.duration else to_s
        if file_s < to_s - CUT_S:
            return to_s
        stream = self.stream
        end_s = (
            float(((stream.start_time or 0) + stream.duration) * stream.time_base) - self.origin_s
            if stream.duration
            else file_s
        )
        return min(to_s, end_s)


def pick(streams: Sequence[av.stream.Stream], kind: str) -> av.stream.Stream:
    """Return the first stream that moves and can be decoded (MediaError if there is none).

    One thread decodes it: many files are read at once, so more threads for one file would only cost time.
    """
    moving = [stream for stream in streams if not stream.disposition & STILL]
    if not moving:
        raise MediaError(f"no {kind} stream" + (", only a still picture" if streams else ""))
    usable = [stream for stream in moving if stream.codec_context is not None]
    if not usable:
        raise MediaError(f"no decoder for the {kind} stream")
    usable[0].codec_context.thread_count = 1
    return usable[0]


def origin(container: av.container.InputContainer) -> float:
    """Return a file's first time stamp, in seconds. A codec's priming before zero is not part of the recording."""
    return max(0.0, (container.start_time or 0) / av.time_base)


def picture_rate(stream: av.video.stream.VideoStream) -> float:
    """Return the mean number of pictures a second (MediaError if the file does not tell)."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= 1000:
            return float(rate)
    raise MediaError("no frame rate")
