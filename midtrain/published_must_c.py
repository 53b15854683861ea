"""MuST-C as published (Di Gangi et al. 2019), v1 to v3: a YAML list of segments of talks, and texts line by line.

The files are en-xx/data/{train,dev,tst-COMMON,tst-HE}/{wav/*.wav, txt/SPLIT.yaml, txt/SPLIT.en, txt/SPLIT.xx}.
Unusable training segments are dropped and reported. Dev and tests are kept whole, so that scores are comparable.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import soundfile
import yaml

from mmpt.midtrain.segment_list import parse_segment_list
from mmpt.midtrain.segments import TRAIN, Segment, Split
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.filterbank import SHIFT_SAMPLES

HEADERS_AT_ONCE = 16  # wavs to open at the same time: reading a header waits on the disk, not on Python


def read_split(folder: Path, language: str, name: str, max_frames: int) -> Split:
    """Read the segments of one split.

    Args:
        folder: the folder en-`language`.
        language: of the translations.
        name: of the split.
        max_frames: longer training segments are dropped.

    Raises:
        InputError: the split, a file or a wav is missing; texts and segments differ in number; a segment's entry or a
            wav's format is not MuST-C's; no segment is left.
    """
    data = folder / "data" / name
    yaml_file = data / "txt" / f"{name}.yaml"
    entries = read_entries(yaml_file)
    source, target = (read_lines(data / "txt" / f"{name}.{suffix}") for suffix in ("en", language))
    for suffix, lines in (("en", source), (language, target)):
        if len(lines) != len(entries):
            raise InputError(
                f"{data / 'txt' / name}.{suffix}: {len(lines)} lines, but {yaml_file.name} lists {len(entries)} "
                "segments; line n must be the text of segment n"
            )
    places = [place(entry, f"{yaml_file}, segment {number}") for number, entry in enumerate(entries, start=1)]
    lengths = talk_lengths(data / "wav" / wav for wav, *_ in places)
    segments = [
        Segment(f"{Path(wav).stem}_{number}", data / "wav" / wav, start, samples, transcript, translation, speaker)
        for number, ((wav, start, samples, speaker), transcript, translation) in enumerate(zip(places, source, target))
    ]
    kept, changes = usable_segments(segments, lengths, max_frames if name == TRAIN else None)
    if not kept:
        raise InputError(
            f"{yaml_file}: no segment is left" + "".join(f"; {len(ids)} {what}" for what, ids in changes.items())
        )
    return Split(name, kept, changes)


def usable_segments(
    segments: list[Segment], lengths: dict[Path, int], max_frames: int | None
) -> tuple[list[Segment], dict[str, list[str]]]:
    """Drop unusable segments and cut the others to their talks.

    Args:
        segments: as listed.
        lengths: samples of each talk.
        max_frames: longer segments are dropped; None, outside of training: nothing is dropped.

    Returns:
        The segments to keep; and the ids of those that were dropped, clipped or are odd, by what it is.
    """
    kept: list[Segment] = []
    changes: dict[str, list[str]] = {}
    seen: set[tuple[str, str]] = set()

    def note(what: str, segment: Segment) -> None:
        changes.setdefault(what, []).append(segment.id)

    for segment in segments:
        available = lengths[segment.audio]
        reason = reason_to_drop(segment, available, max_frames) if max_frames is not None else None
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
            note("kept, though another segment has the same texts", segment)
        seen.add((segment.source, segment.target))
        kept.append(inside)
    return kept, changes


def reason_to_drop(segment: Segment, available: int, max_frames: int) -> str | None:
    """Return why a segment cannot be trained on, or None. One frame past the wav's end is taken for rounding."""
    if not segment.target:
        return "without translation"
    if segment.samples < 1:
        return "without duration"
    if segment.start + segment.samples > available + SHIFT_SAMPLES:
        return "past the end of the wav"
    return f"longer than {max_frames} frames" if segment.frames > max_frames else None


def clip(segment: Segment, available: int) -> Segment:
    """Return the segment cut to its wav of `available` samples; at least one sample is left."""
    start = min(segment.start, available - 1)
    return replace(segment, start=start, samples=max(1, min(segment.samples, available - start)))


def language_folder(root: Path, language: str) -> Path:
    """Return the folder en-`language` in `root`, or `root` itself if it is that folder.

    Raises:
        InputError: there is no such folder; the error names the languages that are there.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: no such folder; it should hold MuST-C's en-de, en-it and so on, "
            "or be a folder that scripts/prepare/must_c.py made"
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
    """Return the names of the splits in en-xx: train, dev, then the tests."""
    there = {path.parent.name for path in folder.glob("data/*/txt") if path.is_dir()}
    return [name for name in (TRAIN, "dev") if name in there] + sorted(there - {TRAIN, "dev"})


def read_text(file: Path) -> str:
    r"""Read a text and return it with its lines ended by \n.

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
    """Return the stripped lines of a text. Only newlines end a line: published sentences hold U+2028 and the like."""
    lines = read_text(file).split("\n")
    return [line.strip() for line in (lines[:-1] if lines[-1] == "" else lines)]


def read_entries(file: Path) -> list[dict]:
    """Read the YAML list of segments.

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
    """Return a segment's wav, first sample, number of samples, and speaker ("" if the entry names none)."""
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
    """Return the number of samples of each talk; each is opened once."""
    talks = list(dict.fromkeys(wavs))
    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        return dict(zip(talks, pool.map(wav_samples, talks)))


def wav_samples(file: Path) -> int:
    """Return the number of samples of a talk.

    Raises:
        InputError: the wav is missing, unreadable, empty or not 16 kHz mono.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such wav, but the segment list names it")
    try:
        info = soundfile.info(str(file))
    except soundfile.SoundFileError as error:
        raise InputError(f"{file}: cannot be read as audio: {error}") from None
    if info.samplerate != SAMPLE_RATE or info.channels != 1:
        raise InputError(
            f"{file}: {info.samplerate} Hz, {info.channels} channels; {SAMPLE_RATE} Hz mono is needed "
            f"(sox IN -r {SAMPLE_RATE} -c 1 OUT converts)"
        )
    if info.frames < 1:
        raise InputError(f"{file}: holds no audio")
    return info.frames
