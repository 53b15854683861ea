"""Read S3PRL's experiment folders: which checkpoint is the best one, and its scores.

Scores are computed from the prediction files that S3PRL writes, not from its printed lines. After a training of KS or
IC those files hold the predictions of the latest weights; only after `-m evaluate` on the best checkpoint do they, and
therefore `score`, belong to that one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.data import read_yaml
from mmpt.upstream.s3prl_runner.tasks import TASKS, find_task, superb_task
from mmpt.upstream.s3prl_runner.watch import SCORES

NO_CHECKPOINT = "{}: holds no checkpoint (neither a best one nor states-*.ckpt)"


def best_checkpoint(expdir: str | Path, task: str | None = None) -> tuple[Path, bool]:
    """Return the checkpoint to evaluate, and whether it is the best on dev.

    S3PRL may have written no best one (ASR: dev WER never below 100; KS and IC: no dev clip correct yet). The last
    `states-*.ckpt` then takes its place.

    Args:
        expdir: the experiment's folder.
        task: either name of the task; None takes the best checkpoint of any task.

    Raises:
        InputError: the folder is missing, or holds no checkpoint at all.
    """
    folder = Path(expdir)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such experiment folder")
    known = find_task(task)
    for name in dict.fromkeys(item.best_checkpoint for item in ([known] if known else TASKS)):
        if (folder / name).is_file():
            return folder / name, True
    return last_checkpoint(folder), False


def last_checkpoint(expdir: str | Path) -> Path:
    """Return the `states-*.ckpt` of the highest step."""
    found = {step: path for path in Path(expdir).glob("states-*.ckpt") if (step := _step(path)) is not None}
    if not found:
        raise InputError(NO_CHECKPOINT.format(expdir))
    return found[max(found)]


def newest_checkpoint(expdir: str | Path, read: Callable[[Path], dict]) -> Path:
    """Return the whole checkpoint of the highest step, a best one or a `states-*.ckpt`: the one to resume from.

    S3PRL itself takes the newest `states-*.ckpt`. A best one is whole too, and often newer: a resume from an older step
    could replace it by a worse one.

    Args:
        expdir: the experiment's folder.
        read: the launcher's reader; files that it refuses are skipped.

    Raises:
        InputError: there is no checkpoint, or none is whole.
    """
    folder, refusals = Path(expdir), []
    steps: dict[Path, int] = {}
    for file in sorted({*folder.glob("states-*.ckpt"), *(folder / item.best_checkpoint for item in TASKS)}):
        if file.is_file():
            try:
                steps[file] = read(file)["Step"]
            except InputError as error:
                refusals.append(error)
    if not steps:
        raise refusals[0] if refusals else InputError(NO_CHECKPOINT.format(expdir))
    return max(steps, key=lambda file: steps[file])


def dev_curve(expdir: str | Path, task: str, name: str | None = None) -> dict[int, float]:
    """Return step → dev score (a fraction): `name` as logged, or else the one that chooses S3PRL's best checkpoint.

    An interrupted and resumed run has done some steps twice. Scores after the step of the resume belong to weights that
    are lost, and are left out.

    Raises:
        InputError: the folder has no scores.jsonl.
    """
    known = superb_task(task)
    curve: dict[int, float] = {}
    for line in _lines(Path(expdir) / SCORES):
        entry = json.loads(line)
        if entry["name"] == (name or known.dev_score):
            curve = {step: value for step, value in curve.items() if step < entry["step"]}
            curve[entry["step"]] = entry["value"] / (
                100 if known.name == "asr" else 1
            )  # S3PRL logs error rates in per cent
    return curve


def score(expdir: str | Path, task: str, split: str | None = None) -> dict[str, Any]:
    """Score the predictions in an experiment folder.

    PER, WER and CER are edits summed over the split, divided by the reference's length, as on the leaderboard. SD's
    figures are frame by frame, then the mean over recordings, as S3PRL prints them.

    Args:
        expdir: the experiment's folder.
        task: either name of the task.
        split: default: the leaderboard's (`test`; ASR `test-clean`). SD has predictions for `test` only.

    Returns:
        `utterances` (of SD the number of recordings), and as fractions `acc` for KS and IC, `per` for PR, `wer` and
        `cer` for ASR (with a language model also `wer_lm` and `cer_lm`), `der` and `acc` for SD.

    Raises:
        InputError: files are missing, or predictions and references do not match.
    """
    folder, known = Path(expdir), find_task(task)
    if known is None:
        raise InputError(f"'{task}' is none of the tasks {', '.join(item.name for item in TASKS)}")
    split = split or known.test_split
    if known.name in ("ks", "ic"):
        predicted, true = read_labels(folder, known.name, split)
        return {"acc": sum(map(str.__eq__, predicted, true)) / len(true), "utterances": len(true)}
    if known.name == "pr":
        _, references, hypotheses = read_transcripts(folder, split)
        return {"per": _word_error_rate(references, hypotheses), "utterances": len(references)}  # words are phones
    if known.name == "asr":
        return _recognition(folder, split)
    from mmpt.upstream.s3prl_runner.diarization import diarization_score

    return diarization_score(folder)


def read_labels(folder: Path, task: str, split: str) -> tuple[list[str], list[str]]:
    """Return the predicted lines and the true ones of KS or IC, clip by clip: its name, then the label.

    Raises:
        InputError: a file is missing, or they do not match.
    """
    suffix = "txt" if task == "ks" else "csv"
    predict, truth = folder / f"{split}_predict.{suffix}", folder / f"{split}_truth.{suffix}"
    predicted, true = _lines(predict), _lines(truth)
    if len(predicted) != len(true) or not true:
        raise InputError(f"{predict}: {len(predicted)} lines, but {len(true)} in {truth.name}")
    return predicted, true


def read_transcripts(folder: Path, name: str) -> tuple[list[str], list[str], list[str]]:
    """Return the utterances of `name`-ref.ark, their texts there, and those of `name`-hyp.ark.

    Raises:
        InputError: a file is missing, or they do not match.
    """
    tables = []
    for kind in ("ref", "hyp"):
        lines = (line.partition(" ") for line in _lines(folder / f"{name}-{kind}.ark"))
        tables.append([(utterance, text) for utterance, _, text in lines])
    references, hypotheses = tables
    utterances = [utterance for utterance, _ in references]
    if utterances != [utterance for utterance, _ in hypotheses] or not references:
        raise InputError(f"{folder / name}-hyp.ark and -ref.ark do not hold the same utterances")
    return utterances, [text for _, text in references], [text for _, text in hypotheses]


def decoders(folder: Path, split: str) -> dict[str, str]:
    """Return ASR's decoders with predictions: what their metrics' names end in → the name of their files."""
    names = {"": f"{split}-noLM", "_lm": f"{split}-LM"}
    there = {suffix: name for suffix, name in names.items() if (folder / f"{name}-hyp.ark").is_file()}
    return there or {"": names[""]}


def newest_config(folder: Path) -> dict:
    """Return the settings of the newest run of S3PRL in an experiment folder; empty if it kept none."""
    configs = sorted(folder.glob("config_*.yaml"))  # their names end in the time
    return read_yaml(configs[-1]) if configs else {}


def _word_error_rate(references: list[str], hypotheses: list[str]) -> float:
    import jiwer

    return jiwer.wer(references, hypotheses)


def _recognition(folder: Path, split: str) -> dict[str, Any]:
    import jiwer

    scores = {}
    for suffix, name in decoders(folder, split).items():
        _, references, hypotheses = read_transcripts(folder, name)
        scores[f"wer{suffix}"] = _word_error_rate(references, hypotheses)
        scores[f"cer{suffix}"] = jiwer.cer(references, hypotheses)
        scores["utterances"] = len(references)
    return scores


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; S3PRL writes it with -m evaluate") from error


def _step(path: Path) -> int | None:
    match = re.fullmatch(r"states-(\d+)\.ckpt", path.name)
    return int(match.group(1)) if match else None
