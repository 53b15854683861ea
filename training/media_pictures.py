"""The pictures of a part of a media file."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import av
import numpy

from mmpt.training.media import CUT_S, SAME_S, MediaError, MediaStream, media_errors, picture_rate

T = TypeVar("T")


class VideoFile:
    """The pictures of a file from `start_s` on. Close it, or use it as a context.

    Args:
        path: the file.
        start_s: the moment that all times are counted from.

    Raises:
        MediaError: the file cannot be opened, or has no moving pictures or no frame rate.
    """

    def __init__(self, path: Path, start_s: float = 0.0):
        self.start_s = start_s
        with media_errors("video"):
            self.stream = MediaStream(path, "video")
            try:
                self.rate = picture_rate(self.stream.stream)  # pictures a second, on average
                form = self.stream.container.format.name
                if form == "image2" or form.endswith("_pipe"):
                    raise MediaError("a still picture")
            except MediaError:
                self.stream.close()
                raise

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        self.stream.close()

    def pictures_at(self, times: list[float], short_side: int) -> list[numpy.ndarray]:
        """Return the picture on screen at each of the ascending times; only these are converted.

        The picture on screen is the last one that came by then, or else the first.

        Args:
            times: in seconds.
            short_side: pictures are scaled down to this many pixels on the short side (never up).

        Returns:
            A picture (H, W, 3) uint8 for each time.

        Raises:
            MediaError: the file is damaged, has no picture there, or is cut off before the last time.
        """
        shown: list[av.VideoFrame] = []
        last: av.VideoFrame | None = None
        last_s = 0.0
        with media_errors("video"):
            for time, frame in self.frames(times[0]):
                while last and len(shown) < len(times) and time > times[len(shown)] + SAME_S:
                    shown.append(last)
                if len(shown) == len(times):
                    break
                last, last_s = frame, time
            else:
                self.check_end(last is not None, last_s, times[-1])
            assert last is not None
            shown += [last] * (len(times) - len(shown))
            return converted(shown, Converter(short_side))

    def pictures(self, seconds: float, short_side: int) -> tuple[list[numpy.ndarray], list[float]]:
        """Return all pictures of the first `seconds`, (H, W, 3) uint8, and the time when each comes on screen.

        The first picture may have come before.

        Raises:
            MediaError: the file is damaged, has no picture there, or is cut off in it.
        """
        made: list[numpy.ndarray] = []
        times: list[float] = []
        convert = Converter(short_side)
        with media_errors("video"):
            for time, frame in self.frames(0.0):
                if time >= seconds and made:
                    break
                made.append(convert(frame))
                times.append(time)
            else:
                self.check_end(bool(made), times[-1] if made else 0.0, seconds)
            return made, times

    def frames(self, from_s: float) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield (time, picture), ascending; first the one on screen at `from_s`, if any. Times are rounded to 1 µs."""
        latest, on_screen = -numpy.inf, None
        for time, frame in self.stream.decoded(self.start_s + from_s):
            time = round(time - self.start_s, 6)
            if time <= latest:  # in a damaged file
                continue
            latest = time
            if time <= from_s + SAME_S:  # between the key frame and `from_s`
                on_screen = (time, frame)
                continue
            if on_screen:
                yield on_screen
                on_screen = None
            yield time, frame
        if on_screen:
            yield on_screen

    def check_end(self, found: bool, last_s: float, to_s: float) -> None:
        """Raise MediaError if the file ended without any picture, or too early for pictures up to `to_s`."""
        end_s = self.start_s + last_s + 1 / self.rate
        if not found:
            raise MediaError(f"no picture from {self.start_s:.2f} s on: is the file cut off or damaged?")
        if end_s <= self.start_s:
            raise MediaError(f"no picture at {self.start_s:.2f} s, they end at {end_s:.2f} s")
        missing_s = self.stream.expected_end(self.start_s + to_s) - end_s
        if missing_s > CUT_S:
            raise MediaError(f"ends at {end_s:.2f} s, {missing_s:.2f} s too early: is the file cut off?")


class Converter:
    """Turn frames into upright RGB pictures (H, W, 3) uint8, all of the first one's size.

    That size is scaled down to `short_side` pixels on the short side (never up).
    """

    def __init__(self, short_side: int):
        self.short_side = short_side
        self.scaler = av.video.reformatter.VideoReformatter()  # shared: a frame's own is set up anew each time
        self.size: tuple[int, int] | None = None  # height and width, upright

    def __call__(self, frame: av.VideoFrame) -> numpy.ndarray:
        turns = frame.rotation // 90 % 4 if frame.rotation % 90 == 0 else 0
        if self.size is None:
            scale = min(1.0, self.short_side / min(frame.width, frame.height))
            height, width = (max(1, round(side * scale)) for side in (frame.height, frame.width))
        else:
            height, width = self.size if turns % 2 == 0 else self.size[::-1]
        picture = numpy.rot90(self.scaler.reformat(frame, width, height, "rgb24", threads=1).to_ndarray(), turns)
        self.size = picture.shape[:2]
        return picture


def converted(pictures: Iterable[T], convert: Callable[[T], numpy.ndarray]) -> list[numpy.ndarray]:
    """Return every picture converted; a picture repeated in a row is converted once."""
    made: list[numpy.ndarray] = []
    before = None
    for picture in pictures:
        made.append(made[-1] if made and picture == before else convert(picture))
        before = picture
    return made
