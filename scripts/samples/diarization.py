"""Write two-speaker mixtures as Kaldi folders: diarization/{train,dev,test}/ with wav.scp, segments, rttm and others.

Two voices of one split take turns, with pauses and overlaps. Recordings are trimmed to their speech first, so that the
silence at their ends does not count as speech. Pauses inside an utterance do, as in LibriMix.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.split import SPLITS
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

ROOT = "diarization"
MIXTURES = {"train": 60, "dev": 12, "test": 12}
SEED = 20240607

GRID = 16  # samples: all times are whole milliseconds, as the tables write them
SHORTEST_S = 10.0
TARGET_S = (10.0, 14.0)  # a mixture ends with the utterance that passes its target, drawn from here
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
class Turn:
    """One utterance in a mixture."""

    source: str  # path of the recording in samples/
    speaker: str
    start: int  # in the mixture, in samples
    skip: int  # samples trimmed from the recording's beginning
    samples: int
    gain: float

    @property
    def end(self) -> int:
        return self.start + self.samples


@dataclass(frozen=True)
class Mixture:
    """A recording of two voices."""

    name: str
    split: str
    turns: tuple[Turn, ...]
    samples: int

    @property
    def path(self) -> str:
        """Path of the wav in the built folder."""
        return f"{ROOT}/{self.split}/wav/{self.name}.wav"


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers, final_root: Path) -> list[BuiltFile]:
    """Write the mixtures and their tables; wav.scp names the wavs as they will lie in `final_root`."""
    mixtures = [mixture for name in SPLITS for mixture in plan_mixtures(name, recordings, store)]
    workers.run("diarization (wav)", partial(write_mixture, root, store), mixtures)
    for name in SPLITS:
        write_tables(root / ROOT / name, [mixture for mixture in mixtures if mixture.split == name])
    write_wav_scp(root, final_root)
    return [
        BuiltFile(ROOT, mixture.split, mixture.path, tuple(turn.source for turn in mixture.turns))
        for mixture in mixtures
    ]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    overlaps = ", ".join(f"{overlap_share(root / ROOT / name):.0%}" for name in SPLITS)
    return f"""\
- `{ROOT}/`: mixtures of two voices of the same split, all languages. Both speak in {overlaps} of the speech time
  (train, dev, test). `wav.scp` holds absolute paths, as Kaldi's does: if you move this folder, run build.py on it
  again, which corrects them. Segments are trimmed to speech by energy; short pauses in an utterance count as speech."""


def plan_mixtures(name: str, recordings: list[Recording], store: Store) -> list[Mixture]:
    """Plan the mixtures of one split, from its own recordings and its own random numbers."""
    voices = group_by_speaker([item for item in recordings if item.split == name])
    draw = np.random.default_rng([SEED, SPLITS.index(name)])
    mixtures: list[Mixture] = []
    while len(mixtures) < MIXTURES[name]:
        mixture = plan_mixture(f"{name}_{len(mixtures):03d}", name, voices, store, draw)
        # Voices with few clips may run out of them early: another pair is drawn, so that no clip is heard twice.
        if mixture.samples >= SHORTEST_S * SAMPLE_RATE:
            mixtures.append(mixture)
    return mixtures


def group_by_speaker(recordings: list[Recording]) -> dict[str, list[Recording]]:
    """Return the recordings of each speaker, in order."""
    voices: dict[str, list[Recording]] = {}
    for item in recordings:
        voices.setdefault(item.speaker, []).append(item)
    return voices


def plan_mixture(
    name: str, split: str, voices: dict[str, list[Recording]], store: Store, draw: np.random.Generator
) -> Mixture:
    """Draw two voices and alternate their utterances until the mixture is long enough."""
    pair = draw.choice(sorted(voices), size=2, replace=False)
    gains = {voice: 10 ** (draw.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB) / 20) for voice in pair}
    queues = {voice: list(draw.permutation(len(voices[voice]))) for voice in pair}
    target = draw.uniform(*TARGET_S) * SAMPLE_RATE
    turns: list[Turn] = []
    free_from = dict.fromkeys(pair, 0)  # where each voice has ended: no voice overlaps itself
    position = on_grid(draw.uniform(*PAUSE_S) * SAMPLE_RATE)
    while position < target:
        voice = pair[len(turns) % 2]
        if not queues[voice]:
            break
        recording = voices[voice][queues[voice].pop()]
        wav = store.load(recording.source)
        skip, samples = speech_span(wav)
        if samples > LONGEST_UTTERANCE_S * SAMPLE_RATE:
            continue
        loudness = float(np.sqrt(np.mean(wav[skip : skip + samples] ** 2)))
        start = max(position, free_from[voice])
        turn = Turn(recording.source, str(voice), start, skip, samples, gains[voice] * LEVEL_RMS / loudness)
        turns.append(turn)
        free_from[voice] = turn.end
        ends = max(free_from.values())
        if draw.random() < OVERLAP_CHANCE:
            position = max(turn.start, ends - on_grid(draw.uniform(*OVERLAP_S) * SAMPLE_RATE))
        else:
            position = ends + on_grid(draw.uniform(*PAUSE_S) * SAMPLE_RATE)
    total = max(turn.end for turn in turns) + on_grid(PAUSE_S[0] * SAMPLE_RATE)
    return Mixture(name, split, tuple(turns), total)


def on_grid(samples: float) -> int:
    """Round a time in samples to whole milliseconds."""
    return round(samples / GRID) * GRID


def speech_span(wav: np.ndarray) -> tuple[int, int]:
    """Return the first sample and the number of samples (on the grid) of a recording without silence at its ends."""
    frames = len(wav) // TRIM_FRAME
    power = np.mean(wav[: frames * TRIM_FRAME].reshape(frames, TRIM_FRAME) ** 2, axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-TRIM_DB / 10))
    first = max(0, loud[0] * TRIM_FRAME - TRIM_MARGIN)
    last = min(len(wav), (loud[-1] + 1) * TRIM_FRAME + TRIM_MARGIN)
    return int(first), int((last - first) // GRID * GRID)


def write_mixture(root: Path, store: Store, mixture: Mixture) -> None:
    """Mix one wav and write it."""
    wav = np.zeros(mixture.samples, dtype=np.float32)
    for turn in mixture.turns:
        speech = store.load(turn.source)[turn.skip : turn.skip + turn.samples]
        wav[turn.start : turn.end] += np.float32(turn.gain) * speech
    # Peaks of two voices may add up past full scale: the whole mixture is then made quieter, not clipped.
    peak = float(np.abs(wav).max())
    write_sound(root / mixture.path, wav * min(1.0, 0.99 / peak))


def write_tables(folder: Path, mixtures: list[Mixture]) -> None:
    """Write segments, utt2spk, spk2utt, reco2dur and rttm of a split, sorted as Kaldi requires."""
    segments, spoken_by, durations, rttm = [], {}, [], []
    for mixture in mixtures:
        durations.append(f"{mixture.name} {mixture.samples / SAMPLE_RATE:.3f}")
        for number, turn in enumerate(mixture.turns):
            start, end = turn.start / SAMPLE_RATE, turn.end / SAMPLE_RATE
            utterance = f"{turn.speaker}_{mixture.name}_{number:02d}"
            segments.append(f"{utterance} {mixture.name} {start:.3f} {end:.3f}")
            spoken_by[utterance] = turn.speaker
            rttm.append(f"SPEAKER {mixture.name} 1 {start:.3f} {end - start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>")
    utterances: dict[str, list[str]] = {}
    for utterance in sorted(spoken_by):
        utterances.setdefault(spoken_by[utterance], []).append(utterance)
    tables = {
        "segments": sorted(segments),
        "utt2spk": sorted(f"{utterance} {speaker}" for utterance, speaker in spoken_by.items()),
        "spk2utt": sorted(f"{speaker} {' '.join(names)}" for speaker, names in utterances.items()),
        "reco2dur": durations,
        "rttm": rttm,
    }
    for name, lines in tables.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_wav_scp(root: Path, final_root: Path) -> None:
    """Write wav.scp of each split in `root`, with the absolute paths that the wavs have in `final_root`.

    Kaldi's tables name sound by absolute path (S3PRL resolves a relative one from its working folder). So the table is
    written again when a built folder is found at another place.
    """
    for name in SPLITS:
        folder = root / ROOT / name
        lines = [
            f"{path.stem} {final_root / path.relative_to(root)}\n" for path in sorted((folder / "wav").glob("*.wav"))
        ]
        (folder / "wav.scp").write_text("".join(lines), encoding="utf-8")


def overlap_share(folder: Path) -> float:
    """Return the share of a built split's speech time in which both voices speak, from its rttm."""
    both = single = 0
    spans: dict[str, list[tuple[int, int]]] = {}
    for line in (folder / "rttm").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        start, length = round(float(fields[3]) * 1000), round(float(fields[4]) * 1000)
        spans.setdefault(fields[1], []).append((start, start + length))
    for turns in spans.values():
        voices = np.zeros(max(end for _, end in turns), dtype=int)
        for start, end in turns:
            voices[start:end] += 1
        both += int(np.sum(voices > 1))
        single += int(np.sum(voices > 0))
    return both / single
