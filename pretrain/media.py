"""Media files opened and decoded by PyAV, whatever is wrong with them. A file's clock starts at its first time stamp, as a player's does."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

SAME_S = 1e-6  # times nearer than this are one moment
CUT_S = 1.0  # what may lack at the end, as against the file's header, before the file counts as cut off
STILL = av.stream.Disposition.attached_pic | av.stream.Disposition.still_image | av.stream.Disposition.timed_thumbnails
# A text file may be a playlist: no file makes a training run wait for somebody's server.
OPEN_OPTIONS = {"protocol_whitelist": "file"}


class MediaError(Exception):
    """A file that gives no usable sound or picture; the message is the reason, one line."""


@contextmanager
def media_errors(what: str) -> Iterator[None]:
    """Puts `what` in front of a MediaError's reason, and makes one of whatever PyAV raises for bad files."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{what}: {error}") from None
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise MediaError(f"{what}: damaged ({plain(error)})") from None


def plain(error: Exception) -> str:
    """What an error says, in one line, without its number and the path."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def open_media(path: Path) -> av.container.InputContainer:
    """The file, opened.

    Raises:
        MediaError: it is not there, no media, or not a regular file: a named pipe or a device could keep the reader waiting for ever.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        problem = "link to a file that is not there" if os.path.islink(path) and isinstance(error, FileNotFoundError) else error.strerror
        raise MediaError(f"{path.name}: {problem}") from None
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{path.name}: {'a folder' if stat.S_ISDIR(status.st_mode) else 'a pipe or device'}, not a file")
    if status.st_size == 0:
        raise MediaError(f"{path.name}: empty file")
    try:
        return av.open(str(path), options=OPEN_OPTIONS, metadata_errors="replace")
    except PermissionError:
        raise MediaError(f"{path.name}: no permission to read it") from None
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise MediaError(f"{path.name}: not a media file, or damaged ({plain(error)})") from None


def pick(streams, kind: str) -> av.stream.Stream:
    """The first stream that moves and can be decoded; MediaError if there is none. One thread decodes it: many files are read at
    once, and threads inside one only cost."""
    moving = [stream for stream in streams if not stream.disposition & STILL]
    if not moving:
        raise MediaError(f"no {kind} stream" + (", only a still picture" if len(streams) else ""))
    usable = [stream for stream in moving if stream.codec_context is not None]
    if not usable:
        raise MediaError(f"no decoder for the {kind} stream")
    usable[0].codec_context.thread_count = 1
    return usable[0]


def origin(container: av.container.InputContainer) -> float:
    """Where the file's clock starts, in seconds. What a codec puts before zero (its priming) is not part of the recording."""
    return max(0.0, (container.start_time or 0) / av.time_base)


def expected_end(container: av.container.InputContainer, stream: av.stream.Stream, to_s: float) -> float:
    """Until when a stream should go on that is wanted up to `to_s`, in seconds: less than that only where the header says that
    this stream is shorter than its file is."""
    if container.duration and container.duration / av.time_base < to_s - CUT_S:
        return to_s
    if not stream.duration:
        return to_s if not container.duration else min(to_s, container.duration / av.time_base)
    return min(to_s, float(((stream.start_time or 0) + stream.duration) * stream.time_base) - origin(container))


def decoded(container: av.container.InputContainer, stream: av.stream.Stream, from_s: float) -> Iterator[tuple[float, av.frame.Frame]]:
    """(seconds, frame) of a stream, beginning at or before `from_s` without decoding all that lies before it.

    Some formats seek by decoding time, or by what they guess, and then land after the moment: the next try starts further back.
    """
    has_stamps = not container.format.flags & av.format.Flags.no_timestamps.value
    back_s = 0.0
    while has_stamps and from_s - back_s > 0:
        if seek(container, stream, from_s - back_s):
            frames = timed(container, stream, None)
            first = next(frames, None)
            if first and first[0] <= from_s + SAME_S:
                yield first
                yield from frames
                return
        back_s = 2 * back_s + 1
    if has_stamps:
        seek(container, stream, 0.0)
    yield from timed(container, stream, 0.0)


def seek(container: av.container.InputContainer, stream: av.stream.Stream, to_s: float) -> bool:
    """To the last point at or before `to_s` where decoding can start; False where the format cannot."""
    try:
        container.seek(int((to_s + origin(container)) / stream.time_base), stream=stream, backward=True)
    except (av.error.FFmpegError, OSError, ValueError, OverflowError):
        return False
    return True


def timed(container: av.container.InputContainer, stream: av.stream.Stream, first_s: float | None) -> Iterator[tuple[float, av.frame.Frame]]:
    """(seconds, frame) from where the file stands. A frame without a time stamp follows on the one before, the first on `first_s`."""
    start_s = origin(container)
    time, before = first_s, None
    for frame in container.decode(stream):
        if frame.time is not None:
            time = frame.time - start_s
        elif time is None:
            raise MediaError("no time stamps")
        elif before:
            time += before.samples / before.sample_rate if isinstance(before, av.AudioFrame) else 1 / picture_rate(stream)
        yield time, frame
        before = frame


def picture_rate(stream: av.video.stream.VideoStream) -> float:
    """Pictures a second, on average (MediaError if the file does not tell)."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= 1000:
            return float(rate)
    raise MediaError("no frame rate")
