"""Samples as 16-bit numbers."""

import numpy as np

PEAK = 32768


def to_int16(wav: np.ndarray) -> np.ndarray:
    """Round samples in [-1, 1] to 16 bits; 16-bit sources come back bit for bit. 1.0 becomes 32767."""
    return np.rint(wav * PEAK).clip(-PEAK, PEAK - 1).astype(np.int16)
