"""Sound in and out: recordings of any format → 16 kHz mono float32 → 16-bit WAV and FLAC.

Every recording is decoded once, into a store of .npy files that all builders read and that the build deletes at
its end: four corpora use each clip, and decoding Opus is the slow part.
"""

from pathlib import Path

import av
import numpy as np
import soundfile

from mmpt.upstream.errors import InputError

RATE = 16000
CHANNELS = "mono"


def decode(path: Path) -> np.ndarray:
    """An Opus, G.722 or FLAC file → (samples,) float32 in [−1, 1], 16 kHz mono; InputError if unreadable."""
    # Raw G.722 has no header from which FFmpeg could tell what it is.
    container_format = "g722" if path.suffix == ".g722" else None
    resampler = av.AudioResampler("flt", CHANNELS, RATE)
    pieces = []
    try:
        with av.open(str(path), format=container_format) as container:
            for frame in container.decode(audio=0):
                pieces += resampler.resample(frame)
        pieces += resampler.resample(None)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as sound ({error}); restore samples/") from None
    if not pieces:
        raise InputError(f"{path}: holds no sound; restore samples/")
    return np.concatenate([piece.to_ndarray().reshape(-1) for piece in pieces])


def to_int16(wav: np.ndarray) -> np.ndarray:
    """(samples,) float in [−1, 1] → int16 of scale 32768, which gives 16-bit sources back bit by bit."""
    return np.clip(np.rint(wav * 32768.0), -32768, 32767).astype(np.int16)


def write_sound(path: Path, wav: np.ndarray) -> None:
    """Write (samples,) float in [−1, 1] as 16-bit 16 kHz mono; the suffix (.wav, .flac) names the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, to_int16(wav), RATE, subtype="PCM_16")


class Store:
    """Decoded sources: `store.load(source)` gives what `decode` gave. Picklable, so that workers can hold it."""

    def __init__(self, samples: Path, folder: Path):
        self.samples = samples
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, source: str) -> Path:
        return self.folder / (source.replace("/", "__") + ".npy")

    def fill(self, source: str) -> None:
        """Decode one source into the store."""
        np.save(self.path(source), decode(self.samples / source))

    def load(self, source: str) -> np.ndarray:
        """(samples,) float32 in [−1, 1], 16 kHz."""
        return np.load(self.path(source))
