"""Kaldi folders of two-speaker recordings for SD."""

from dataclasses import dataclass
from pathlib import Path

from mmpt.superb.data_checks.findings import ERROR, NOTE, WARNING, Finding, several
from mmpt.superb.data_checks.published import check_counts
from mmpt.superb.data_checks.recordings import check_format, check_readable, read_headers
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

FILES = ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur")
LOOSE_S = 0.1  # that times may differ


@dataclass(frozen=True)
class KaldiFolder:
    """Tables of a split. segments: (utterance, recording, start in s, end in s)."""

    speaker_of: dict[str, str]
    wavs: dict[str, str]
    seconds: dict[str, float]
    segments: list[tuple[str, str, float, float]]


def check(config: dict, hop: int | None) -> list[Finding]:
    """Check the tables, speakers, segments and recordings of each split."""
    del hop
    expert = config["downstream_expert"]
    found: list[Finding] = []
    for split in ("train", "dev", "test"):
        folder = Path(expert["loaderrc"][f"{split}_dir"])
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            found.append(Finding(ERROR, "sd", f"{folder}: there is no {', '.join(missing)}"))
            continue
        if not (folder / "rttm").is_file():
            found.append(Finding(NOTE, "sd", f"{folder}: no rttm; S3PRL does without, scoring by dscore does not"))
        try:
            tables = read_kaldi(folder)
        except (InputError, ValueError) as error:
            found.append(Finding(ERROR, "sd", f"{folder}: {error}"))
            continue
        found += _check_speakers(tables, split, expert["datarc"]["num_speakers"])
        found += _check_names(tables, split) + _check_recordings(tables, split)
    return found


def read_kaldi(folder: Path) -> KaldiFolder:
    """Read a split's tables. Raises InputError or ValueError for a malformed line."""
    return KaldiFolder(
        dict(_table(folder / "utt2spk", 2)),
        dict(_table(folder / "wav.scp", 2)),
        {name: float(text) for name, text in _table(folder / "reco2dur", 2)},
        [(name, recording, float(start), float(end)) for name, recording, start, end in _table(folder / "segments", 4)],
    )


def _check_speakers(tables: KaldiFolder, split: str, limit: int) -> list[Finding]:
    speakers: dict[str, set] = {recording: set() for recording in tables.wavs}
    for utterance, recording, _, _ in tables.segments:
        speaker = tables.speaker_of.get(utterance, f"(nobody in utt2spk: {utterance})")
        speakers.setdefault(recording, set()).add(speaker)
    crowded = [name for name, who in sorted(speakers.items()) if len(who) > limit]
    silent = [name for name, who in sorted(speakers.items()) if not who]
    strange = sorted(speakers.keys() - tables.wavs.keys())
    return [
        *several(ERROR, "sd", crowded, f"recordings of {split} with more than {limit} speakers"),
        *several(ERROR, "sd", silent, f"recordings of {split} without a segment"),
        *several(ERROR, "sd", strange, f"recordings of {split} in segments, but not in wav.scp"),
    ]


def _check_names(tables: KaldiFolder, split: str) -> list[Finding]:
    utterances = {utterance for utterance, *_ in tables.segments}
    strange = sorted(utterances - tables.speaker_of.keys())
    one_sided = sorted(tables.wavs.keys() ^ tables.seconds.keys())
    return [
        *several(ERROR, "sd", strange, f"segments of {split} that are not in utt2spk"),
        *several(ERROR, "sd", one_sided, f"recordings of {split} in wav.scp or reco2dur, but not in both"),
    ]


def _check_recordings(tables: KaldiFolder, split: str) -> list[Finding]:
    commands = [name for name, text in tables.wavs.items() if text.endswith("|") or text == "-"]
    files = {name: Path(text) for name, text in tables.wavs.items() if name not in commands}
    headers = read_headers(list(files.values()), f"headers of sd {split}")
    samples = {name: headers[file].samples for name, file in files.items()}
    wrong = [
        name
        for name, n in samples.items()
        if n is not None and abs(n / SAMPLE_RATE - tables.seconds.get(name, 0)) > LOOSE_S
    ]
    late = [
        utterance
        for utterance, recording, start, end in tables.segments
        if not 0 <= start < end or end > tables.seconds.get(recording, end) + LOOSE_S
    ]
    return [
        *check_readable("sd", headers),
        *check_format("sd", headers),
        *check_counts("sd", {f"sd {split}": len(tables.wavs)}),
        *several(WARNING, "sd", wrong, f"recordings of {split} whose length is not that of reco2dur"),
        *several(WARNING, "sd", late, f"segments of {split} that end before they begin, or after their recording"),
    ]


def _table(file: Path, columns: int) -> list[list[str]]:
    """Read the lines of a Kaldi table."""
    rows = [line.split(None, columns - 1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != columns:
            raise InputError(f"{file.name}, line {number}: expected {columns} columns")
    return [[cell.strip() for cell in row] for row in rows]
