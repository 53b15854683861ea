"""Choose and cut the words of Speech Commands: out of lines at a recogniser's times, and synthetic words as they are.

All become one second alike, whatever their source: the word in the middle, faded, of one loudness, over faint noise.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmpt.scripts.samples import split
from mmpt.scripts.samples.mixtures import speech_span
from mmpt.scripts.samples.pack_tables import WORD_TIMES
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

# The recogniser's times start early. Starts from -0.06 to 0.12 s, ends to 0.10 s, and a low-pass at 4 kHz for all words
# made no difference on dev beyond its noise.
AFTER_START_S = 0.06
AFTER_END_S = 0.06
FADE_SAMPLES = 160
LEVEL_RMS = 0.05
NOISE_RMS = 0.0003  # so that no second holds digital silence, which no recording has


@dataclass(frozen=True)
class Word:
    """One second to write: a word of a recording."""

    source: str
    speaker: str
    label: str  # the class
    folder: str  # the class, or in training the unknown word itself
    split: str
    start_s: float | None = None  # None: the whole recording without the silence around it
    end_s: float | None = None

    @property
    def is_real(self) -> bool:
        """True if a person said it."""
        return self.start_s is not None

    @property
    def order(self) -> float:
        """A number by which words are chosen: the same in every build."""
        return split.percent(f"word {self.source} {self.start_s}")


def balanced(words: Iterable[Word], most: int) -> list[Word]:
    """Return at most so many words of each class, in turn from each speaker, as long as they have some."""
    classes: dict[str, dict[str, list[Word]]] = {}
    for word in sorted(words, key=lambda word: word.order):
        classes.setdefault(word.label, {}).setdefault(word.speaker, []).append(word)
    chosen = []
    for speakers in classes.values():
        turns = [(turn, word.order, word) for said in speakers.values() for turn, word in enumerate(said)]
        chosen += [word for _, _, word in sorted(turns, key=lambda entry: entry[:2])[:most]]
    return chosen


def write_word(path: Path, store: Store, word: Word) -> None:
    """Write one second."""
    write_sound(path, one_second(cut(store.load(word.source), word), word.order))


def cut(wav: np.ndarray, word: Word) -> np.ndarray:
    """Return the samples of a word, at most one second.

    Raises:
        InputError: the recording ends before the word.
    """
    if word.start_s is None or word.end_s is None:
        start, length = speech_span(wav)
        return wav[start : start + length][:SAMPLE_RATE]
    start = round((word.start_s + AFTER_START_S) * SAMPLE_RATE)
    if start >= len(wav):
        raise InputError(f"{WORD_TIMES}: {word.folder} at {word.start_s} s lies behind the end of {word.source}")
    return wav[start : round((word.end_s + AFTER_END_S) * SAMPLE_RATE)][:SAMPLE_RATE]


def one_second(speech: np.ndarray, seed: float) -> np.ndarray:
    """Return (16000,) float32: the speech faded, of one loudness, in the middle of faint noise."""
    speech = speech.astype(np.float64)
    ramp = np.linspace(0, 1, min(FADE_SAMPLES, len(speech)))
    speech[: len(ramp)] *= ramp
    speech[len(speech) - len(ramp) :] *= ramp[::-1]
    speech *= LEVEL_RMS / max(float(np.sqrt(np.mean(speech**2))), 1e-6)
    wav = np.random.default_rng(int(seed * 1e9)).normal(0, NOISE_RMS, SAMPLE_RATE)
    start = (SAMPLE_RATE - len(speech)) // 2
    wav[start : start + len(speech)] += speech
    return (wav * min(1.0, 0.99 / np.abs(wav).max())).astype(np.float32)
