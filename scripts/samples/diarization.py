"""Write two-speaker mixtures as Kaldi folders: diarization/{train,dev,test}/ with wav.scp, segments, rttm and more."""

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from mmpt.scripts.samples.mixtures import Mixture, low_pass, plan_mixtures
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.split import SPLITS
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

ROOT = "diarization"


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers, final_root: Path) -> list[BuiltFile]:
    """Write the mixtures and their tables; wav.scp names the wavs as they will lie in `final_root`."""
    mixtures = plan_mixtures(recordings, store, workers)
    workers.run("diarization (wav)", partial(write_mixture, root, store), mixtures)
    for name in SPLITS:
        write_tables(root / ROOT / name, [mixture for mixture in mixtures if mixture.split == name])
    write_wav_scp(root, final_root)
    return [
        BuiltFile(ROOT, mixture.split, wav_path(mixture), tuple(turn.utterance.source for turn in mixture.turns))
        for mixture in mixtures
    ]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    rows = "\n".join(f"  | {name} | {describe(root / ROOT / name)} |" for name in SPLITS)
    return f"""\
- `{ROOT}/`: mixtures of two roles of Flight of the Amazon Queen, both of one split; those of dev and test are in no
  training. All sound is cut off at 4 kHz and brought to one level (each voice then varies by up to 3 dB), so that the
  channel does not tell voices apart. A line is heard once in dev and test, and at most twice in training. A role is in
  about a third of a split's mixtures at most. An actor may have spoken several roles: a pair of one voice cannot be
  ruled out. `wav.scp` holds absolute paths, as Kaldi's does: if you move this folder, run build.py on it
  again, which corrects them. Segments are trimmed to speech by energy; short pauses in an utterance count as speech.

  | split | mixtures | minutes | roles | pairs of roles | largest share of a role | both speak, of the speech time |
  |---|---|---|---|---|---|---|
{rows}
"""


def describe(folder: Path) -> str:
    """Return the figures of a built split as cells of a table."""
    minutes = (
        sum(float(line.split()[1]) for line in (folder / "reco2dur").read_text(encoding="utf-8").splitlines()) / 60
    )
    voices: dict[str, set[str]] = {}
    for line in (folder / "rttm").read_text(encoding="utf-8").splitlines():
        voices.setdefault(line.split()[1], set()).add(line.split()[7])
    roles = Counter(role for pair in voices.values() for role in pair)
    pairs = {tuple(sorted(pair)) for pair in voices.values()}
    share = max(roles.values()) / len(voices)
    figures = (len(voices), f"{minutes:.0f}", len(roles), len(pairs), f"{share:.0%}", f"{overlap_share(folder):.0%}")
    return " | ".join(map(str, figures))


def wav_path(mixture: Mixture) -> str:
    """Return the path of a mixture's wav in the built folder."""
    return f"{ROOT}/{mixture.split}/wav/{mixture.name}.wav"


def write_mixture(root: Path, store: Store, mixture: Mixture) -> None:
    """Mix one wav and write it."""
    wav = np.zeros(mixture.samples, dtype=np.float32)
    for turn in mixture.turns:
        said = turn.utterance
        speech = low_pass(store.load(said.source))[said.skip : said.skip + said.samples]
        wav[turn.start : turn.end] += np.float32(turn.gain) * speech
    # Peaks of two voices may add up past full scale: the whole mixture is then made quieter, not clipped.
    peak = float(np.abs(wav).max())
    write_sound(root / wav_path(mixture), wav * min(1.0, 0.99 / peak))


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
