"""Checks of recordings by their headers: readable, mono, 16 kHz, not empty, long enough for CTC."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile

from mmpt.superb.ctc_labels import states_needed
from mmpt.superb.data_checks.findings import ERROR, NOTE, Finding, several
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.progress import Progress

THREADS = 16


@dataclass(frozen=True)
class Header:
    """What a recording's header states; `samples` is None if it cannot be read."""

    samples: int | None
    rate: int = SAMPLE_RATE
    channels: int = 1


def read_headers(files: Sequence[Path], title: str) -> dict[Path, Header]:
    """Read length, rate and channels of each file, several at a time. `title`: of the progress bar."""
    with ThreadPoolExecutor(THREADS) as pool:
        pairs = zip(files, pool.map(_header, files))
        few = len(files) < 1000
        return dict(Progress(pairs, total=len(files), desc=title, unit="file", leave=False, disable=few))


def _header(file: Path) -> Header:
    try:
        info = soundfile.info(file)
    except (soundfile.LibsndfileError, RuntimeError):
        return Header(None)
    return Header(info.frames, info.samplerate, info.channels)


def check_readable(task: str, headers: dict[Path, Header]) -> list[Finding]:
    """Find recordings that are missing or damaged."""
    broken = [file for file, header in headers.items() if header.samples is None]
    return several(ERROR, task, broken, "recordings that are missing or cannot be read")


def check_format(task: str, headers: dict[Path, Header]) -> list[Finding]:
    """Find recordings that are not 16 kHz and mono, or are empty, for a task in which S3PRL converts nothing."""
    known = {file: header for file, header in headers.items() if header.samples is not None}
    return [
        *several(
            ERROR,
            task,
            [f for f, h in known.items() if h.channels != 1],
            "recordings that are not mono (S3PRL would stop, or take them for several)",
        ),
        *several(
            ERROR,
            task,
            [f for f, h in known.items() if h.rate != SAMPLE_RATE],
            "recordings that are not 16 kHz (S3PRL would take them as if they were)",
        ),
        *several(ERROR, task, [f for f, h in known.items() if h.samples == 0], "recordings without a sample"),
    ]


def check_ctc(
    task: str, split: str, labels: dict[Path, list[str]], headers: dict[Path, Header], hop: int | None
) -> list[Finding]:
    """Count utterances with too few states for CTC. They add nothing to S3PRL's loss (`zero_infinity`)."""
    if hop is None or not labels:
        return []
    fast = [
        file
        for file, items in labels.items()
        if (samples := headers[file].samples) and states_needed(items) > round(samples / hop)
    ]
    if not fast:
        return []
    share = 100 * len(fast) / len(labels)
    what = f"{len(fast)} utterances ({share:.1f} %) of {split} have more labels than there are states of {hop} samples"
    return [Finding(NOTE, task, f"{what}: CTC cannot align them")]
