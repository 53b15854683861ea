"""Compute the frame-by-frame diarization error of S3PRL's SD predictions, without running S3PRL again.

S3PRL prints the figure and writes it to no file. The predictions (`scoring/predictions/*.h5`) are compared with the
Kaldi folder that the experiment's configuration names, by S3PRL's own rules: labels at the experiment's frame shift,
threshold 0.5, the order of speakers with the lowest cross-entropy, mean over recordings. The leaderboard's figure is a
different one: dscore on smoothed predictions.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.s3prl_runner.experiment import newest_config


def diarization_score(expdir: Path) -> dict[str, Any]:
    """Return `der` and `acc` (fractions, mean over recordings) and `utterances`, the number of recordings."""
    results = recording_scores(expdir)
    der, accuracy = np.mean(list(results.values()), axis=0)
    return {"der": float(der), "acc": float(accuracy), "utterances": len(results)}


def recording_scores(expdir: Path) -> dict[str, tuple[float, float]]:
    """Return recording → diarization error and accuracy, as fractions.

    Raises:
        InputError: there are no predictions, or the Kaldi folder that they belong to is not there.
    """
    import h5py

    predictions = sorted((expdir / "scoring" / "predictions").glob("*.h5"))
    config = newest_config(expdir)
    if not predictions or not config:
        raise InputError(f"{expdir}: no diarization predictions; S3PRL writes them with -m evaluate")
    settings = config["downstream_expert"]
    test_dir, chunk = Path(settings["loaderrc"]["test_dir"]), settings["datarc"]["chunk_size"]
    frame_shift = int((expdir / "frame_shift").read_text())
    segments, seconds = _segments(test_dir), _durations(test_dir)
    results = {}
    for file in predictions:
        with h5py.File(file) as content:
            probabilities = np.asarray(content["T_hat"], dtype=np.float64)  # (frames, speakers), the last chunk padded
        if file.stem not in segments or file.stem not in seconds:
            raise InputError(f"{file}: this recording is not in {test_dir}")
        probabilities = probabilities[: int(seconds[file.stem] * SAMPLE_RATE / frame_shift)]
        frames, speakers = probabilities.shape
        labels = _labels(segments[file.stem], frames, speakers, frame_shift, chunk)
        results[file.stem] = _recording_errors(probabilities, labels, chunk)
    return results


def _segments(folder: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Return recording → (speaker, start in s, end in s)."""
    try:
        speakers = dict(line.split() for line in (folder / "utt2spk").read_text().splitlines())
        found: dict[str, list[tuple[str, float, float]]] = {}
        for line in (folder / "segments").read_text().splitlines():
            utterance, recording, start, end = line.split()
            found.setdefault(recording, []).append((speakers[utterance], float(start), float(end)))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: cannot be read as a Kaldi folder ({error})") from error
    return found


def _durations(folder: Path) -> dict[str, float]:
    """Return recording → seconds."""
    try:
        lines = (folder / "reco2dur").read_text().splitlines()
        return {recording: float(seconds) for recording, seconds in (line.split() for line in lines)}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot be read as a Kaldi folder ({error})") from error


def _labels(segments: list, frames: int, speakers: int, frame_shift: int, chunk: int) -> np.ndarray:
    """Return (frames, speakers) of 0 and 1 as S3PRL does: a segment that spans a whole chunk counts as silent there."""
    labels = np.zeros((frames, speakers), dtype=np.int64)
    names = sorted({speaker for speaker, _, _ in segments})
    for first in range(0, frames, chunk):
        last = min(first + chunk, frames)
        for speaker, start_s, end_s in segments:
            start = int(np.rint(np.float64(start_s) * SAMPLE_RATE / frame_shift))
            end = int(np.rint(np.float64(end_s) * SAMPLE_RATE / frame_shift))
            if first <= start < last or first < end <= last:
                labels[max(start, first) : min(end, last), names.index(speaker)] = 1
    return labels


def _recording_errors(probabilities: np.ndarray, labels: np.ndarray, chunk: int) -> tuple[float, float]:
    """Return diarization error and accuracy of one recording, each chunk with the order of speakers that fits best."""
    orders = [list(order) for order in itertools.permutations(range(labels.shape[1]))]
    wrong = spoken = correct = 0
    for first in range(0, len(labels), chunk):
        likely, truth = probabilities[first : first + chunk], labels[first : first + chunk]
        truth = truth[:, min(orders, key=lambda order: _cross_entropy(likely, truth[:, order]))]
        predicted = (likely > 0.5).astype(np.int64)
        true_count, predicted_count = truth.sum(1), predicted.sum(1)
        confused = np.minimum(true_count, predicted_count) - (truth & predicted).sum(1)
        wrong += (np.abs(true_count - predicted_count) + confused).sum()  # missed or false alarm, and confused
        spoken += true_count.sum()
        correct += (truth == predicted).mean(1).sum()
    return (wrong / spoken, correct / len(labels)) if spoken else (0.0, 0.0)  # S3PRL's figure for silence


def _cross_entropy(likely: np.ndarray, truth: np.ndarray) -> float:
    safe = np.clip(likely, 1e-12, 1 - 1e-12)
    return float(-(truth * np.log(safe) + (1 - truth) * np.log(1 - safe)).sum())
