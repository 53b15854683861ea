"""MuST-C as it is published (Di Gangi et al. 2019), v1 to v3: segments of talks in a YAML list, beside line-aligned texts.

en-xx/data/{train,dev,tst-COMMON,tst-HE}/{wav/*.wav, txt/SPLIT.yaml, txt/SPLIT.en, txt/SPLIT.xx}. Training segments that cannot
serve are dropped and reported; of dev and test nothing is dropped, or scores would not be comparable.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile
import yaml

from mmpt.midtrain.segment_list import parse_segment_list
from mmpt.midtrain.segments import TRAIN, Segment, Split
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.filterbank import SHIFT_SAMPLES

HEADERS_AT_ONCE = 16  # wavs: reading a header waits on the disk, not on Python


def read_split(folder: Path, language: str, name: str, max_frames: int) -> Split:
    """The segments of one split.

    Args:
        folder: en-`language`. max_frames: longer training segments are dropped.

    Raises:
        InputError: no such split, file or wav; texts and segments differ in number; a segment's entry or a wav's format
            is not MuST-C's; nothing is left to train on.
    """
    data = folder / "data" / name
    yaml_file = data / "txt" / f"{name}.yaml"
    entries = read_entries(yaml_file)
    source, target = (read_lines(data / "txt" / f"{name}.{suffix}") for suffix in ("en", language))
    for suffix, lines in (("en", source), (language, target)):
        if len(lines) != len(entries):
            raise InputError(
                f"{data / 'txt' / name}.{suffix}: {len(lines)} lines, but {yaml_file.name} lists {len(entries)} segments; "
                "line n must be the text of segment n"
            )
    places = [place(entry, f"{yaml_file}, segment {number}") for number, entry in enumerate(entries, start=1)]
    lengths = talk_lengths(data / "wav" / wav for wav, *_ in places)
    segments = [
        Segment(f"{Path(wav).stem}_{number}", data / "wav" / wav, start, samples, *texts, speaker)
        for number, ((wav, start, samples, speaker), *texts) in enumerate(zip(places, source, target))
    ]
    kept, changes = fitting(segments, lengths, max_frames if name == TRAIN else None)
    if not kept:
        raise InputError(
            f"{yaml_file}: no segment is left" + "".join(f"; {len(ids)} {what}" for what, ids in changes.items())
        )
    return Split(name, kept, changes)


def fitting(
    segments: list[Segment], lengths: dict[Path, int], max_frames: int | None
) -> tuple[list[Segment], dict[str, list[str]]]:
    """The segments that serve, inside their talks; and what was dropped (only with `max_frames`, in training), clipped or is odd."""
    kept, changes, seen = [], {}, set()

    def note(what: str, segment: Segment) -> None:
        changes.setdefault(what, []).append(segment.id)

    for segment in segments:
        available = lengths[segment.audio]
        reason = unfit(segment, available, max_frames) if max_frames is not None else None
        if reason:
            note(f"dropped: {reason}", segment)
            continue
        inside = clip(segment, available)
        if segment.start + segment.samples > available + SHIFT_SAMPLES or segment.samples < 1:
            note("clipped to the wav", segment)
        for side, text in (("transcript", segment.source), ("translation", segment.target)):
            if not text:
                note(f"kept without {side}", segment)
        if (segment.source, segment.target) in seen:
            note("kept, texts of another segment", segment)
        seen.add((segment.source, segment.target))
        kept.append(inside)
    return kept, changes


def unfit(segment: Segment, available: int, max_frames: int) -> str | None:
    """Why a segment is not to be trained on, if so. A frame past the wav's end is rounding."""
    if not segment.target:
        return "without translation"
    if segment.samples < 1:
        return "without duration"
    if segment.start + segment.samples > available + SHIFT_SAMPLES:
        return "past the end of the wav"
    return f"longer than {max_frames} frames" if segment.frames > max_frames else None


def clip(segment: Segment, available: int) -> Segment:
    """The segment inside its wav, one sample at least."""
    start = min(segment.start, available - 1)
    samples = max(1, min(segment.samples, available - start))
    return Segment(segment.id, segment.audio, start, samples, segment.source, segment.target, segment.speaker)


def language_folder(root: Path, language: str) -> Path:
    """en-`language` under `root`, or `root` itself where it is that.

    Raises:
        InputError: it is not there; the ones that are get named.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: no such folder; it should hold MuST-C's en-de, en-it and so on, or be what scripts/prepare/must_c.py made"
        )
    if root.resolve().name == f"en-{language}" and (root / "data").is_dir():
        return root
    there = sorted(p.name.removeprefix("en-") for p in root.glob("en-*") if p.is_dir())
    if language not in there:
        found = (
            f"there is {', '.join(there)}" if there else "it holds no en-xx folder at all; name the folder above en-xx"
        )
        raise InputError(f"{root}: no target language {language!r} here ({found})")
    return root / f"en-{language}"


def published_splits(folder: Path) -> list[str]:
    """Names of the splits in en-xx: train, dev, then the tests."""
    there = {path.parent.name for path in folder.glob("data/*/txt") if path.is_dir()}
    return [name for name in (TRAIN, "dev") if name in there] + sorted(there - {TRAIN, "dev"})


def read_text(file: Path) -> str:
    """A text, its lines ended by newlines.

    Raises:
        InputError: there is no such file, or it is not UTF-8.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file; a MuST-C split has wav/ and txt/ with .yaml, .en and the translation")
    try:
        return file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}") from None


def read_lines(file: Path) -> list[str]:
    """Lines of a text, stripped. Only newlines end a line: the published texts hold U+2028 and its like inside sentences."""
    lines = read_text(file).split("\n")
    return [line.strip() for line in (lines[:-1] if lines[-1] == "" else lines)]


def read_entries(file: Path) -> list[dict]:
    """The YAML list of segments.

    Raises:
        InputError: there is no such file, or it is not a YAML list of mappings.
    """
    try:
        return parse_segment_list(read_text(file))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not valid YAML: {error}") from None
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def place(entry: dict, where: str) -> tuple[str, int, int, str]:
    """Name of the wav, first sample, number of samples and speaker ("" where none is named) of a segment."""
    try:
        offset_s, duration_s, wav = float(entry["offset"]), float(entry["duration"]), str(entry["wav"])
        start, samples = round(offset_s * SAMPLE_RATE), round(duration_s * SAMPLE_RATE)
    except KeyError as error:
        raise InputError(f"{where}: has no {error.args[0]}") from None
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{where}: offset {entry['offset']!r} and duration {entry['duration']!r} must be seconds"
        ) from None
    if start < 0:
        raise InputError(f"{where}: offset {offset_s:g} s lies before the wav")
    return wav, start, samples, str(entry.get("speaker_id", ""))


def talk_lengths(wavs: Iterable[Path]) -> dict[Path, int]:
    """Samples of each talk, one look at each."""
    talks = list(dict.fromkeys(wavs))
    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        return dict(zip(talks, pool.map(wav_samples, talks)))


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
        raise InputError(
            f"{file}: {info.samplerate} Hz, {info.channels} channels; 16000 Hz mono is needed "
            "(sox IN -r 16000 -c 1 OUT converts)"
        )
    if info.frames < 1:
        raise InputError(f"{file}: holds no audio")
    return info.frames
