"""The `silence` effect of sox, with which S3PRL's speaker verification drops silences everywhere in a recording."""

from __future__ import annotations

import numpy as np

WINDOW_S = 0.02  # sox's silence.c takes the root mean square over the last 20 ms
FULL_SCALE = 2**31 - 1  # of sox's samples


def without_silences(samples: np.ndarray, rate: int, duration_s: float, percent: float) -> np.ndarray:
    """Drop silences as `silence 1 D T% -1 D T%` does in sox 14.4.2.

    Sound begins with a stretch of `duration_s` above the threshold, and what is before it is dropped. It ends with a
    stretch of `duration_s` that is not; that stretch is dropped, and the search for sound begins anew, with an empty
    window. What follows the last sound is kept if it is shorter than `duration_s`.

    Args:
        samples: one channel in [-1, 1].
        rate: samples per second.
        duration_s: length of a stretch in seconds.
        percent: threshold of the root mean square, in per cent of full scale.
    """
    window, stretch = int(rate * WINDOW_S), int(duration_s * rate + 0.5)
    squares = np.square(np.rint(samples.astype(np.float64) * 2**31))
    is_sound = _above(squares, window, percent)
    pieces, position = [], 0
    while True:
        # The window is empty at each new search: what it held before counts no more.
        is_sound[position : position + window] = _above(squares[position : position + window], window, percent)
        start = _first_stretch(is_sound, position, stretch)
        if start is None:
            break
        end = _first_stretch(~is_sound, start + stretch, stretch)
        pieces.append(samples[start:end])
        if end is None:
            break
        position = end + stretch
    return np.concatenate(pieces) if pieces else samples[:0]


def _above(squares: np.ndarray, window: int, percent: float) -> np.ndarray:
    """Return where the root mean square of the last `window` samples, zeros before the first, is above `percent`."""
    sums = np.cumsum(squares)
    sums[window:] -= sums[:-window].copy()
    levels = np.floor(np.sqrt(np.maximum(sums, 0) / window))  # sox keeps them as integers
    return levels / FULL_SCALE * 100 > percent


def _first_stretch(flags: np.ndarray, start: int, length: int) -> int | None:
    """Return where the first run of `length` true flags begins, at `start` or later; None if there is none."""
    padded = np.concatenate([[False], flags[start:], [False]])
    changes = np.flatnonzero(padded[1:] != padded[:-1])
    begins, ends = changes[::2], changes[1::2]
    long_enough = np.flatnonzero(ends - begins >= length)
    return start + int(begins[long_enough[0]]) if len(long_enough) else None
