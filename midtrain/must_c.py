"""MuST-C as it is published (Di Gangi et al. 2019): segments of talks in a YAML list, beside line-aligned texts.

en-xx/data/{train,dev,tst-COMMON}/{wav/*.wav, txt/SPLIT.yaml, txt/SPLIT.en, txt/SPLIT.xx}. Training segments that cannot
serve are dropped and counted; of dev and test nothing is dropped, or scores would not be comparable.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import soundfile
import torch
import yaml
from torch import Tensor

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.filterbank import SAMPLE_RATE, SHIFT_SAMPLES, speech_frames

TRAIN = "train"


@dataclass(frozen=True)
class Segment:
    """A sentence: `samples` samples of a talk's wav from `start` on, its transcript and its translation."""

    id: str  # the talk and the segment's number in its split
    wav: Path
    start: int
    samples: int
    source: str
    target: str

    @property
    def frames(self) -> int:
        """Filterbank frames of speech, what batches are counted in."""
        return speech_frames(self.samples)


@dataclass(frozen=True)
class Split:
    """The segments of a split, and how many were changed or left out, by reason."""

    name: str
    segments: list[Segment]
    changes: Counter

    def describe(self) -> str:
        """One line for people."""
        hours = sum(s.samples for s in self.segments) / SAMPLE_RATE / 3600
        changes = "".join(f"; {number} {reason}" for reason, number in self.changes.items())
        return f"{self.name}: {len(self.segments):,} segments, {hours:.2f} h{changes}"


def read_split(root: Path, language: str, name: str, max_frames: int) -> Split:
    """The segments of one split of en-`language`.

    Args:
        root: the folder that holds en-de, en-it and so on.
        max_frames: longer training segments are dropped.
    Raises:
        InputError: no such folder, language, split, file or wav; texts and segments differ in number; a segment's line or
            a wav's format is not MuST-C's; nothing is left to train on.
    """
    data = language_folder(root, language) / "data" / name
    yaml_file = data / "txt" / f"{name}.yaml"
    entries = read_entries(yaml_file)
    source, target = (read_lines(data / "txt" / f"{name}.{suffix}") for suffix in ("en", language))
    for suffix, lines in (("en", source), (language, target)):
        if len(lines) != len(entries):
            raise InputError(f"{data / 'txt' / name}.{suffix}: {len(lines)} lines, but {yaml_file.name} lists {len(entries)} segments; "
                             "line n must be the text of segment n")
    segments, changes = [], Counter()
    samples_in = cache(wav_samples)  # talks are long: one look at each
    for number, (entry, english, translated) in enumerate(zip(entries, source, target), start=1):
        wav, start, samples = place(entry, f"{yaml_file}, segment {number}")
        available = samples_in(data / "wav" / wav)
        segment = Segment(f"{Path(wav).stem}_{number - 1}", data / "wav" / wav, start, samples, english, translated)
        if name == TRAIN and (reason := unfit(segment, available, max_frames)):
            changes[f"dropped: {reason}"] += 1
            continue
        segments.append(clip(segment, available, changes))
    if not segments:
        raise InputError(f"{yaml_file}: no segment is left" + "".join(f"; {n} {reason}" for reason, n in changes.items()))
    return Split(name, segments, changes)


def unfit(segment: Segment, available: int, max_frames: int) -> str | None:
    """Why a segment is not to be trained on, if so. A frame past the wav's end is rounding."""
    if not segment.target:
        return "without translation"
    if segment.samples < 1:
        return "without duration"
    if segment.start + segment.samples > available + SHIFT_SAMPLES:
        return "past the end of the wav"
    return f"longer than {max_frames} frames" if segment.frames > max_frames else None


def clip(segment: Segment, available: int, changes: Counter) -> Segment:
    """The segment inside its wav, one sample at least."""
    start = min(segment.start, available - 1)
    samples = max(1, min(segment.samples, available - start))
    if (start, samples) == (segment.start, segment.samples):
        return segment
    if segment.start + segment.samples > available + SHIFT_SAMPLES or segment.samples < 1:
        changes["clipped to the wav"] += 1
    return Segment(segment.id, segment.wav, start, samples, segment.source, segment.target)


def language_folder(root: Path, language: str) -> Path:
    """en-`language` under `root`.

    Raises:
        InputError: it is not there; the ones that are get named.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; --data is the one that holds MuST-C's en-de, en-it and so on")
    there = sorted(p.name.removeprefix("en-") for p in root.glob("en-*") if p.is_dir())
    if language not in there:
        found = f"there is {', '.join(there)}" if there else "it holds no en-xx folder at all; --data is the folder above en-xx"
        raise InputError(f"{root}: no target language {language!r} here ({found})")
    return root / f"en-{language}"


def read_lines(file: Path) -> list[str]:
    """Lines of a text, stripped. Only newlines end a line: the published texts hold U+2028 and its like inside sentences.

    Raises:
        InputError: there is no such file, or it is not UTF-8.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file; a MuST-C split has wav/ and txt/ with .yaml, .en and the translation")
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}") from None
    lines = text.split("\n")
    return [line.strip() for line in (lines[:-1] if lines[-1] == "" else lines)]


def read_entries(file: Path) -> list[dict]:
    """The YAML list of segments. Published files have one flow mapping a line, which needs no YAML reader: 230,000
    segments take a second instead of half a minute. Any other form goes through the real reader.

    Raises:
        InputError: there is no such file, or it is not a YAML list of mappings.
    """
    lines = read_lines(file)
    try:
        return [line_entry(line) for line in lines if line]
    except ValueError:
        pass
    try:
        entries = yaml.load(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{file}: not a list of segments (offset, duration, wav)")
    return entries


def line_entry(line: str) -> dict:
    """`- {key: value, key: value}` as strings.

    Raises:
        ValueError: the line has another form, or quotes, which only a YAML reader understands.
    """
    if not (line.startswith("- {") and line.endswith("}")) or '"' in line or "'" in line:
        raise ValueError(line)
    return dict(pair.split(": ", 1) for pair in line[3:-1].split(", "))


def place(entry: dict, where: str) -> tuple[str, int, int]:
    """Name of the wav, first sample and number of samples of a segment."""
    try:
        offset_s, duration_s, wav = float(entry["offset"]), float(entry["duration"]), str(entry["wav"])
        start, samples = round(offset_s * SAMPLE_RATE), round(duration_s * SAMPLE_RATE)
    except KeyError as error:
        raise InputError(f"{where}: has no {error.args[0]}") from None
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: offset {entry['offset']!r} and duration {entry['duration']!r} must be seconds") from None
    if start < 0:
        raise InputError(f"{where}: offset {offset_s:g} s lies before the wav")
    return wav, start, samples


def wav_samples(file: Path) -> int:
    """Length of a talk.

    Raises:
        InputError: it is not there, unreadable, empty or not 16 kHz mono.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such wav, but the segment list names it")
    try:
        info = soundfile.info(str(file))
    except soundfile.SoundFileError as error:
        raise InputError(f"{file}: cannot be read as audio: {error}") from None
    if info.samplerate != SAMPLE_RATE or info.channels != 1:
        raise InputError(f"{file}: {info.samplerate} Hz, {info.channels} channels; 16000 Hz mono is needed "
                         "(sox IN -r 16000 -c 1 OUT converts)")
    if info.frames < 1:
        raise InputError(f"{file}: holds no audio")
    return info.frames


def read_wav(segment: Segment) -> Tensor:
    """The segment's waveform (samples,) in [-1, 1], read by seeking in its talk.

    Raises:
        InputError: the file changed since it was looked at.
    """
    try:
        wav, _ = soundfile.read(str(segment.wav), frames=segment.samples, start=segment.start, dtype="float32")
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{segment.wav}: cannot be read any more: {error}") from None
    if len(wav) != segment.samples:
        raise InputError(f"{segment.wav}: {len(wav)} samples from sample {segment.start} on, {segment.samples} were expected; is the file cut off?")
    return torch.from_numpy(wav)
