"""Sound of 16 bits: as numbers, and as FLAC."""

import io

import numpy as np
import soundfile

from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

PEAK = 32768


def to_int16(wav: np.ndarray) -> np.ndarray:
    """Round samples in [-1, 1] to 16 bits; 16-bit sources come back bit for bit. 1.0 becomes 32767."""
    return np.rint(wav * PEAK).clip(-PEAK, PEAK - 1).astype(np.int16)


def to_flac(wav: np.ndarray) -> bytes:
    """Return samples in [-1, 1] at 16 kHz as FLAC of 16 bits; 16-bit sources lose nothing."""
    file = io.BytesIO()
    soundfile.write(file, to_int16(wav), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()
