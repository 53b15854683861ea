"""Motion of a rendered mouth: three numbers for each video frame, computed from the sound alone.

No text, phone or label takes part. The video is for pre-training without labels, which a mouth that knew the words
would leak.
"""

import numpy as np

from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
HOP = 160
WINDOW = 400
FFT = 512
HOPS_PER_FRAME = SAMPLES_PER_FRAME // HOP

# Weights over 80 ms around a frame's middle: smooth enough to look natural, short enough to show single phones.
SMOOTHING = np.array([1, 2, 3, 4, 4, 3, 2, 1], dtype=np.float64) / 20

VOICE_HZ = (250, 3000)  # loud when the mouth is open
BACK_HZ, FRONT_HZ = (250, 1000), (1500, 3500)  # the second formant falls when the lips are rounded
HISS_HZ = (4000, 8000)  # strong when the teeth are close: s, sh, f, t

RANGE_DB = 32.0  # from closed to wide open, which is the level of the clip's loud frames
QUIETEST_LOUD_DB = -45.0  # keeps the mouth closed in a clip that has only noise
BALANCE_DB = (-22.0, 4.0)  # front band over back band: from rounded to spread lips
EPSILON = 1e-10


def motion(wav: np.ndarray) -> np.ndarray:
    """Return opening, width and teeth, (frames, 3) float32 in [0, 1], of a waveform; frames = ceil(samples / 640).

    In silence, width is 0.5 (neutral) and the others are 0.

    Args:
        wav: (samples,) at 16 kHz.
    """
    power = spectrogram(wav)
    voice, back, front, hiss = (band(power, edges) for edges in (VOICE_HZ, BACK_HZ, FRONT_HZ, HISS_HZ))

    loudness = decibel(voice)
    opening = np.clip((loudness - loud_level(loudness)) / RANGE_DB + 1, 0, 1) ** 1.4
    total = decibel(voice + hiss)
    activity = np.clip((total - loud_level(total)) / RANGE_DB + 1, 0, 1)

    balance = (decibel(front) - decibel(back) - BALANCE_DB[0]) / (BALANCE_DB[1] - BALANCE_DB[0])
    width = 0.5 + activity * (np.clip(balance, 0, 1) - 0.5)
    teeth = activity * hiss / (hiss + voice + EPSILON)
    return np.stack([smooth(curve) for curve in (opening, width, teeth)], axis=1).astype(np.float32)


def spectrogram(wav: np.ndarray) -> np.ndarray:
    """Return (4 · frames, bins) power of (samples,): four windows per video frame, window j centred on 160 j + 80."""
    windows = HOPS_PER_FRAME * -(-len(wav) // SAMPLES_PER_FRAME)
    left = (WINDOW - HOP) // 2
    padded = np.zeros(windows * HOP + WINDOW - HOP, dtype=np.float32)
    padded[left : left + len(wav)] = wav
    cut = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    shape = np.hanning(WINDOW)
    return np.abs(np.fft.rfft(cut * shape, FFT)) ** 2 / np.sum(shape) ** 2


def band(power: np.ndarray, edges: tuple[int, int]) -> np.ndarray:
    """Return (windows,) power between two frequencies in Hz, of (windows, bins)."""
    low, high = (edge * FFT // SAMPLE_RATE for edge in edges)
    return power[:, low : high + 1].sum(axis=1)


def decibel(power: np.ndarray) -> np.ndarray:
    """Return power in dB."""
    return 10 * np.log10(power + EPSILON)


def loud_level(level_db: np.ndarray) -> float:
    """Return the level in dB of a clip's loud frames, relative to which clips of any level open alike."""
    return max(float(np.percentile(level_db, 95)), QUIETEST_LOUD_DB)


def smooth(curve: np.ndarray) -> np.ndarray:
    """Return (frames,) weighted means of (4 · frames,) over the 80 ms around the middle of each video frame."""
    reach = (len(SMOOTHING) - HOPS_PER_FRAME) // 2
    padded = np.pad(curve, reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, len(SMOOTHING))[::HOPS_PER_FRAME] @ SMOOTHING
