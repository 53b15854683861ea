"""Plan two-speaker mixtures: who speaks when, how loud, and which recordings are heard.

Two voices of one split take turns, with pauses and overlaps. Recordings are trimmed to their speech first, so that the
silence at their ends does not count as speech. Pauses inside an utterance do, as in LibriMix.

All voices are roles of Flight of the Amazon Queen: one studio and one codec, so that nothing but the voice tells two of
them apart. What little they have above 4 kHz differs from clip to clip and is taken out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import scipy.signal

from mmpt.scripts.samples.recordings import Store
from mmpt.scripts.samples.split import QUEEN_UNKNOWN, SPLITS
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

MIXTURES = {"train": 400, "dev": 40, "test": 120}  # at most
PASSES = {"train": 2, "dev": 1, "test": 1}  # how often an utterance is heard, in different mixtures
LARGEST_SHARE = 1 / 3  # of a split's mixtures that one voice is in: a single role has most of the training speech
SEED = 20240607

CUTOFF_HZ = 3900
FILTER_TAPS = 255  # 60 dB down at 4 kHz

GRID = 16  # samples: all times are whole milliseconds, as the tables write them
SHORTEST_S = 10.0
TARGET_S = (10.0, 14.0)  # a mixture ends with the utterance that passes its target, drawn from here
SPEECH_S = 10.0  # that a voice must have left to be drawn
LONGEST_UTTERANCE_S = 6.0  # keeps a mixture below 20 s, and gives both voices several turns
OVERLAP_CHANCE = 0.6
OVERLAP_S = (0.4, 1.5)
PAUSE_S = (0.1, 0.9)
LEVEL_RMS = 0.05
LEVEL_SPREAD_DB = 3.0

TRIM_FRAME = 160
TRIM_DB = 35.0  # below the loudest frame
TRIM_MARGIN = 480  # samples kept on either side: 30 ms


@dataclass(frozen=True)
class Utterance:
    """The speech in one recording."""

    source: str  # path of the recording in samples/
    skip: int  # samples before it
    samples: int
    rms: float


@dataclass(frozen=True)
class Turn:
    """One utterance in a mixture."""

    utterance: Utterance
    speaker: str
    start: int  # in the mixture, in samples
    gain: float

    @property
    def end(self) -> int:
        return self.start + self.utterance.samples


@dataclass(frozen=True)
class Mixture:
    """A recording of two voices."""

    name: str
    split: str
    turns: tuple[Turn, ...]
    samples: int


class Voice:
    """One speaker's utterances, in an order drawn at random; each is heard at most once a pass."""

    def __init__(self, utterances: Sequence[Utterance], passes: int, draw: np.random.Generator):
        self.utterances = list(utterances)
        self.draw = draw
        self.passes = passes
        self.mixtures = 0  # that it is in
        self.queue: list[Utterance] = []

    def is_ready(self) -> bool:
        """Return True if enough speech is left for a mixture. Between mixtures the next pass may begin."""
        if self.seconds_left() < SPEECH_S and self.passes:
            self.passes -= 1
            self.queue = [self.utterances[place] for place in self.draw.permutation(len(self.utterances))]
        return self.seconds_left() >= SPEECH_S

    def seconds_left(self) -> float:
        """Return how much speech is left in this pass."""
        return sum(utterance.samples for utterance in self.queue) / SAMPLE_RATE


def plan_mixtures(recordings: list[Recording], store: Store, workers: Workers) -> list[Mixture]:
    """Plan the mixtures of all splits. Each has its own recordings and random numbers."""
    lines = [item for item in recordings if item.kind == "queen" and not item.speaker.endswith(f"-{QUEEN_UNKNOWN}")]
    utterances = workers.run("diarization (levels)", partial(measure, store), [item.source for item in lines])
    mixtures = []
    for name in SPLITS:
        voices: dict[str, list[Utterance]] = {}
        for item, utterance in zip(lines, utterances, strict=True):
            if item.split == name and utterance.samples <= LONGEST_UTTERANCE_S * SAMPLE_RATE:
                voices.setdefault(item.speaker, []).append(utterance)
        mixtures += plan_split(name, voices)
    return mixtures


def measure(store: Store, source: str) -> Utterance:
    """Find the speech in a recording and its level."""
    wav = low_pass(store.load(source))
    skip, samples = speech_span(wav)
    return Utterance(source, skip, samples, float(np.sqrt(np.mean(wav[skip : skip + samples] ** 2))))


def low_pass(wav: np.ndarray) -> np.ndarray:
    """Return (samples,) without what lies above 4 kHz, not shifted in time."""
    return scipy.signal.fftconvolve(wav, low_pass_filter(), mode="same").astype(np.float32)


@cache
def low_pass_filter() -> np.ndarray:
    """Return (taps,) of a symmetric filter."""
    taps: np.ndarray = scipy.signal.firwin(FILTER_TAPS, CUTOFF_HZ, window=("kaiser", 5.65), fs=SAMPLE_RATE)
    return taps


def speech_span(wav: np.ndarray) -> tuple[int, int]:
    """Return the first sample and the number of samples (on the grid) of a recording without silence at its ends."""
    frames = len(wav) // TRIM_FRAME
    power = np.mean(wav[: frames * TRIM_FRAME].reshape(frames, TRIM_FRAME) ** 2, axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-TRIM_DB / 10))
    first = max(0, loud[0] * TRIM_FRAME - TRIM_MARGIN)
    last = min(len(wav), (loud[-1] + 1) * TRIM_FRAME + TRIM_MARGIN)
    return int(first), int((last - first) // GRID * GRID)


def plan_split(name: str, utterances: dict[str, list[Utterance]]) -> list[Mixture]:
    """Draw pairs of voices until there are enough mixtures, or fewer than two voices may still be drawn.

    Args:
        name: of the split.
        utterances: of each voice.
    """
    draw = np.random.default_rng([SEED, SPLITS.index(name)])
    voices = {speaker: Voice(utterances[speaker], PASSES[name], draw) for speaker in sorted(utterances)}
    mixtures: list[Mixture] = []
    while len(mixtures) < MIXTURES[name]:
        most = 1 + LARGEST_SHARE * len(mixtures)
        ready = [speaker for speaker, voice in voices.items() if voice.mixtures < most and voice.is_ready()]
        if len(ready) < 2:
            break
        pair = {str(speaker): voices[speaker] for speaker in draw.choice(ready, size=2, replace=False)}
        mixture = plan_mixture(f"{name}_{len(mixtures):03d}", name, pair, draw)
        if mixture.samples >= SHORTEST_S * SAMPLE_RATE:  # much overlap may use up a voice before
            mixtures.append(mixture)
            for voice in pair.values():
                voice.mixtures += 1
    return mixtures


def plan_mixture(name: str, split: str, pair: dict[str, Voice], draw: np.random.Generator) -> Mixture:
    """Alternate the utterances of two voices until the mixture is long enough, or one has no more."""
    speakers = list(pair)
    gains = {speaker: 10 ** (draw.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB) / 20) for speaker in speakers}
    target = draw.uniform(*TARGET_S) * SAMPLE_RATE
    turns: list[Turn] = []
    free_from = dict.fromkeys(speakers, 0)  # where each voice has ended: no voice overlaps itself
    position = on_grid(draw.uniform(*PAUSE_S) * SAMPLE_RATE)
    while position < target and pair[speaker := speakers[len(turns) % 2]].queue:
        utterance = pair[speaker].queue.pop()
        start = max(position, free_from[speaker])
        turns.append(Turn(utterance, speaker, start, gains[speaker] * LEVEL_RMS / utterance.rms))
        free_from[speaker] = turns[-1].end
        ends = max(free_from.values())
        if draw.random() < OVERLAP_CHANCE:
            position = max(start, ends - on_grid(draw.uniform(*OVERLAP_S) * SAMPLE_RATE))
        else:
            position = ends + on_grid(draw.uniform(*PAUSE_S) * SAMPLE_RATE)
    total = max(free_from.values()) + on_grid(PAUSE_S[0] * SAMPLE_RATE)
    return Mixture(name, split, tuple(turns), total)


def on_grid(samples: float) -> int:
    """Round a time in samples to whole milliseconds."""
    return round(samples / GRID) * GRID
