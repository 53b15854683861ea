"""The time that is left, of a whole check and of the part that runs."""

import time
from collections.abc import Iterator


class Clock:
    """A clock that starts now.

    Args:
        seconds: of the whole check.
    """

    def __init__(self, seconds: float):
        self.end = self.part_end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds left for the check."""
        return self.end - time.monotonic()

    def start_part(self, seconds: float) -> None:
        """Give the next part so many seconds, or what is left."""
        self.part_end = min(self.end, time.monotonic() + seconds)

    def split_part(self, parts: int) -> Iterator[int]:
        """Yield 0 … parts - 1, and give each of them an equal share of the time that the part has left."""
        end = self.part_end
        for number in range(parts):
            now = time.monotonic()
            self.part_end = now + max(0.0, end - now) / (parts - number)
            yield number

    def rounds(self, least: int, most: int) -> Iterator[int]:
        """Yield 0, 1, … until the part's time is up: at least `least` numbers, at most `most`."""
        for number in range(most):
            if number >= least and time.monotonic() >= self.part_end:
                return
            yield number
