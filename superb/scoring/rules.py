"""The leaderboard server's arithmetic. It scores only the ids that were sent in; one unknown id costs the task."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate
from scipy.signal import medfilt

from mmpt.superb.scoring.files import Diarization, Turn
from mmpt.superb.scoring.layout import DEFAULT_FRAME_SHIFT
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.progress import Progress

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
MEDIANS = (1, 11)  # frames
Setting = tuple[float, int]  # threshold, median


@dataclass(frozen=True)
class Score:
    """A task's figure.

    Args:
        value: a fraction.
        scored: number of ids.
        missing: ids of the truth that were not sent in.
    """

    value: float
    scored: int
    missing: list[str]


def error_rate(predicted: dict[str, str], truth: dict[str, str]) -> Score:
    """Return PER or WER: edits over reference tokens, both summed over utterances. A blank parts tokens.

    Raises:
        InputError: an utterance is not in the truth, or the references hold no token.
    """
    ids, missing = _matched(predicted, truth)
    if not any(truth[key] for key in ids):
        raise InputError("the references hold no word")
    # jiwer refuses an empty reference. All words predicted for it are insertions, added below.
    full = [key for key in ids if truth[key]]
    split: Any = _tokens  # jiwer calls any function, although it asks for a class of its own
    output = jiwer.process_words([truth[key] for key in full], [predicted[key] for key in full], split, split)
    inserted = sum(len(_tokens([predicted[key]])[0]) for key in ids if not truth[key])
    edits = output.substitutions + output.deletions + output.insertions + inserted
    return Score(edits / (output.hits + output.substitutions + output.deletions), len(ids), missing)


def _tokens(texts: list[str]) -> list[list[str]]:
    """Split each text at every single blank, as the server does: between two blanks lies an empty token."""
    return [text.split(" ") if text else [] for text in texts]


def accuracy(predicted: dict[str, str], truth: dict[str, str]) -> Score:
    """Return the share of ids whose whole label is right, for KS and IC. Raises InputError for an unknown id."""
    ids, missing = _matched(predicted, truth)
    return Score(sum(predicted[key] == truth[key] for key in ids) / len(ids), len(ids), missing)


def diarization(
    predicted: Diarization, truth: dict[str, list[Turn]], processes: int | None = None
) -> dict[Setting, float]:
    """Return the diarization error, a fraction, for each of the server's ten settings.

    The collar is 0, overlap counts, and seconds are summed over recordings. A recording of the truth without a
    prediction counts as missed. `processes`: default one a processor.

    Raises:
        InputError: a recording is not in the truth.
    """
    unknown = sorted(predicted.probabilities.keys() - truth.keys())
    if unknown:
        raise InputError(f"'{unknown[0]}' is not in the truth ({len(unknown)} in all)")
    shift = predicted.frame_shift or DEFAULT_FRAME_SHIFT
    work = [(predicted.probabilities.get(key, np.zeros((0, 1))), shift, turns) for key, turns in sorted(truth.items())]
    settings = list(itertools.product(THRESHOLDS, MEDIANS))
    sums = {setting: np.zeros(2) for setting in settings}
    # A few recordings are scored before a process has started.
    processes = min(processes or os.cpu_count() or 1, 1 + len(work) // 100)
    with contextlib.ExitStack() as stack:
        done: Iterator = map(_recording, work)
        if processes > 1:
            done = stack.enter_context(ProcessPoolExecutor(processes)).map(_recording, work, chunksize=8)
        for errors in Progress(
            done, total=len(work), desc="DER", unit="recording", leave=False, disable=len(work) < 50
        ):
            for setting, pair in errors.items():
                sums[setting] += pair
    return {setting: float(wrong / spoken) for setting, (wrong, spoken) in sums.items()}


def best_setting(errors: dict[Setting, float]) -> Setting:
    """Return the setting of the lowest error; the first of equal ones."""
    return min(errors, key=lambda setting: errors[setting])


def turns_of(probabilities: np.ndarray, threshold: float, median: int, shift: int) -> list[Turn]:
    """Return who speaks when by (frames, speakers) of probabilities, to hundredths of a second as in S3PRL's RTTM."""
    active = (probabilities > threshold).astype(np.int64)
    if median > 1 and len(active):
        active = medfilt(active, (median, 1))
    turns = []
    for speaker, frames in enumerate(active.T):
        changes = np.flatnonzero(np.diff(np.pad(frames, 1)))
        for first, last in zip(changes[::2], changes[1::2]):
            start, seconds = round(first * shift / SAMPLE_RATE, 2), round((last - first) * shift / SAMPLE_RATE, 2)
            turns.append((float(start), float(start + seconds), str(speaker)))
    return turns


def _recording(work: tuple[np.ndarray, int, list[Turn]]) -> dict[Setting, tuple[float, float]]:
    """Return (wrong seconds, spoken seconds) of one recording for each setting."""
    probabilities, shift, truth = work
    return {
        (threshold, median): wrong_seconds(truth, turns_of(probabilities, threshold, median, shift))
        for threshold, median in itertools.product(THRESHOLDS, MEDIANS)
    }


def wrong_seconds(truth: list[Turn], predicted: list[Turn]) -> tuple[float, float]:
    """Return (missed + false + confused seconds, spoken seconds) under the best mapping of speakers."""
    reference, hypothesis = _annotation(truth), _annotation(predicted)
    extent = Timeline(
        [segment for annotation in (reference, hypothesis) for segment in annotation.itersegments()]
    ).extent()
    if not extent:
        return 0.0, 0.0
    metric = DiarizationErrorRate(collar=0.0, skip_overlap=False)
    parts = metric.compute_components(reference, hypothesis, uem=Timeline([extent]))
    return parts["missed detection"] + parts["false alarm"] + parts["confusion"], parts["total"]


def _annotation(turns: Iterable[Turn]) -> Annotation:
    """Make pyannote's form of the turns. Overlapping turns of one speaker become one."""
    annotation = Annotation()
    for track, (start, end, speaker) in enumerate(turns):
        if end > start:
            annotation[Segment(start, end), track] = speaker
    return annotation.support()


def _matched(predicted: dict, truth: dict) -> tuple[list[str], list[str]]:
    """Return the ids to score, and those of the truth that are missing. Raises InputError."""
    unknown = sorted(predicted.keys() - truth.keys())
    if unknown:
        raise InputError(f"'{unknown[0]}' is not in the truth ({len(unknown)} in all): the server drops the whole task")
    if not predicted:
        raise InputError("there is no prediction")
    return sorted(predicted), sorted(truth.keys() - predicted.keys())
