"""What every source of clips offers: the sound and the pictures of one clip."""

from abc import ABC, abstractmethod

import numpy
from torch import Tensor


class ClipReader(ABC):
    """A clip, opened for reading; a context. Times are seconds from the clip's start.

    Its constructor and methods raise MediaError if the clip cannot be read.
    """

    rate: float  # mean number of pictures a second

    @abstractmethod
    def audio(self) -> Tensor:
        """Return the used part of the waveform (samples,), 16 kHz, in [-1, 1]."""

    @abstractmethod
    def pictures_at(self, times: list[float], short_side: int) -> list[numpy.ndarray]:
        """Return the picture on screen at each of the ascending times, (H, W, 3) uint8.

        Pictures are scaled down to `short_side` pixels on the short side (never up).
        """

    @abstractmethod
    def pictures(self, short_side: int) -> tuple[list[numpy.ndarray], list[float]]:
        """Return all pictures of the used part, scaled likewise, and the time when each comes on screen."""

    @abstractmethod
    def close(self) -> None:
        """Close the clip's file."""

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self.close()
