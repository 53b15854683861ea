"""Read recordings of any format as 16 kHz mono float32, and write 16-bit WAV and FLAC.

Every recording is decoded once, into a store of .npy files that all builders read and that the build deletes at its
end: several corpora use each clip. The store keeps 16 bits a sample, as the corpora do: 115 MB for an hour.
"""

import io
from pathlib import Path

import av
import numpy as np
import soundfile

from mmpt.scripts.prepare.pcm import PEAK, to_int16
from mmpt.scripts.samples.packs import is_packed, read_packed
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

CHANNELS = "mono"


def decode(samples: Path, source: str) -> np.ndarray:
    """Read an Opus, G.722 or FLAC file of samples/ as (samples,) float32 in [−1, 1], 16 kHz mono.

    Raises:
        InputError: the file is unreadable.
    """
    path = samples / source
    # Raw G.722 has no header by which FFmpeg could recognise it.
    container_format = "g722" if path.suffix == ".g722" else None
    file = io.BytesIO(read_packed(samples, source)) if is_packed(source) else str(path)
    resampler = av.AudioResampler("flt", CHANNELS, SAMPLE_RATE)
    pieces = []
    try:
        with av.open(file, format=container_format) as container:
            for frame in container.decode(audio=0):
                pieces += resampler.resample(frame)
        pieces += resampler.resample(None)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as sound ({error}); restore samples/") from None
    if not pieces:
        raise InputError(f"{path}: holds no sound; restore samples/")
    return np.concatenate([piece.to_ndarray().reshape(-1) for piece in pieces])


def write_sound(path: Path, wav: np.ndarray) -> None:
    """Write (samples,) float in [−1, 1] as 16-bit 16 kHz mono; the suffix (.wav, .flac) chooses the format.

    Raises:
        InputError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        soundfile.write(path, to_int16(wav), SAMPLE_RATE, subtype="PCM_16")
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: cannot be written ({error})") from None


class Store:
    """Decoded recordings, by their path in samples/. Picklable, so that it can be sent to workers."""

    def __init__(self, samples: Path, folder: Path):
        self.samples = samples
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, source: str) -> Path:
        """Return the file that holds a decoded recording."""
        return self.folder / (source.replace("/", "__") + ".npy")

    def add(self, source: str) -> None:
        """Decode a recording into the store."""
        np.save(self.path(source), to_int16(decode(self.samples, source)))

    def load(self, source: str) -> np.ndarray:
        """Return a recording that was added, (samples,) float32 in [−1, 1], 16 kHz."""
        return np.load(self.path(source)) / np.float32(PEAK)
