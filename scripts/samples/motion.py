"""What a rendered mouth does: three numbers for each video frame, from the audio signal alone.

No text, phone or label comes in here. The video goes into unlabelled pre-training, where a mouth that knew the
words would leak them.
"""

import numpy as np

from mmpt.scripts.samples.recordings import RATE

FPS = 25
SAMPLES_PER_FRAME = RATE // FPS
HOP = 160
WINDOW = 400
FFT = 512
HOPS_PER_FRAME = SAMPLES_PER_FRAME // HOP

# 80 ms around the middle of a frame: smooth enough to look like flesh, short enough to show single phones.
SMOOTHING = np.array([1, 2, 3, 4, 4, 3, 2, 1], dtype=np.float64) / 20

VOICE_HZ = (250, 3000)  # loud where the mouth is open
BACK_HZ, FRONT_HZ = (250, 1000), (1500, 3500)  # the second formant falls when the lips are rounded
HISS_HZ = (4000, 8000)  # strong where the teeth are close: s, sh, f, t

RANGE_DB = 32.0  # from closed to wide open, below the clip's own loud frames
QUIETEST_LOUD_DB = -45.0  # a clip without speech stays closed instead of chattering with its noise
BALANCE_DB = (-22.0, 4.0)  # front over back band: rounded … spread
EPSILON = 1e-10


def motion(wav: np.ndarray) -> np.ndarray:
    """(samples,) at 16 kHz → (frames, 3) float32 in [0, 1]: opening, width, teeth; frames = ceil(samples / 640).

    Width is 0.5 (neutral) and the others 0 in silence.
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
    """(samples,) → (4 · frames, bins) power, window j centred on sample 160 j + 80: four windows a video frame."""
    windows = HOPS_PER_FRAME * -(-len(wav) // SAMPLES_PER_FRAME)
    left = (WINDOW - HOP) // 2
    padded = np.zeros(windows * HOP + WINDOW - HOP, dtype=np.float32)
    padded[left : left + len(wav)] = wav
    cut = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    shape = np.hanning(WINDOW)
    return np.abs(np.fft.rfft(cut * shape, FFT)) ** 2 / np.sum(shape) ** 2


def band(power: np.ndarray, edges: tuple[int, int]) -> np.ndarray:
    """(windows, bins) power → (windows,) power between two frequencies in Hz."""
    low, high = (edge * FFT // RATE for edge in edges)
    return power[:, low : high + 1].sum(axis=1)


def decibel(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power + EPSILON)


def loud_level(level_db: np.ndarray) -> float:
    """Level in dB of a clip's loud frames, by which clips of any recording level open alike."""
    return max(float(np.percentile(level_db, 95)), QUIETEST_LOUD_DB)


def smooth(curve: np.ndarray) -> np.ndarray:
    """(4 · frames,) → (frames,): weighted mean over the 80 ms around the middle of each video frame."""
    reach = (len(SMOOTHING) - HOPS_PER_FRAME) // 2
    padded = np.pad(curve, reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, len(SMOOTHING))[::HOPS_PER_FRAME] @ SMOOTHING
