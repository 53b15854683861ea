"""S3PRL's experiment folders: which checkpoint is the best one, and what it scored.

Scores are computed from the prediction files that S3PRL writes, not from what it prints. For KS and IC those files
hold the latest weights' predictions after a training; only after `-m evaluate` on the best checkpoint do
they, and so `score`, speak of that one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import jiwer

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.tasks import TASKS, find_task
from mmpt.upstream.s3prl_runner.watch import SCORES


def best_checkpoint(expdir: str | Path, task: str | None = None) -> tuple[Path, bool]:
    """The checkpoint to evaluate, and whether it is the best on dev.

    It is not where S3PRL never wrote a best one (ASR: dev WER never under 100; KS and IC: no dev clip right
    yet); the last `states-*.ckpt` stands in then. `task` is any name of it; None takes whichever is there.

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
    """The `states-*.ckpt` of the highest step."""
    found = [path for path in Path(expdir).glob("states-*.ckpt") if _step(path) is not None]
    if not found:
        raise InputError(f"{expdir}: holds no checkpoint (neither a best one nor states-*.ckpt)")
    return max(found, key=_step)


def newest_checkpoint(expdir: str | Path, read: Callable[[Path], dict]) -> Path:
    """The whole checkpoint of the highest step, a best one or a `states-*.ckpt`: where to go on from.

    S3PRL takes the newest `states-*.ckpt`. But a best one is whole, too, and often newer: going on from an older one could
    replace it by a worse. `read` is the launcher's reader; files that it refuses are passed over.

    Raises:
        InputError: there is none, or none is whole.
    """
    folder, steps, refusals = Path(expdir), {}, []
    for file in sorted({*folder.glob("states-*.ckpt"), *(folder / item.best_checkpoint for item in TASKS)}):
        if file.is_file():
            try:
                steps[file] = read(file)["Step"]
            except InputError as error:
                refusals.append(error)
    if not steps:
        raise (
            refusals[0]
            if refusals
            else InputError(f"{expdir}: holds no checkpoint (neither a best one nor states-*.ckpt)")
        )
    return max(steps, key=steps.get)


def dev_curve(expdir: str | Path, task: str) -> dict[int, float]:
    """Step → dev score, a fraction, of what S3PRL chooses the best checkpoint by.

    A run that was broken off and resumed has gone through some steps twice: what was measured after the step that it went on
    from belongs to weights that are lost, and is left out.

    Raises:
        InputError: the folder has no scores.jsonl.
    """
    known, curve = find_task(task), {}
    for line in _lines(Path(expdir) / SCORES):
        entry = json.loads(line)
        if entry["name"] == known.dev_score:
            curve = {step: value for step, value in curve.items() if step < entry["step"]}
            curve[entry["step"]] = entry["value"] / (100 if known.name == "asr" else 1)  # S3PRL logs WER in per cent
    return curve


def score(expdir: str | Path, task: str, split: str | None = None) -> dict:
    """The figures of the predictions that lie in an experiment folder.

    Returns a dictionary with `utterances` (SD: recordings) and, all as fractions: `acc` for KS and IC, `per` for PR,
    `wer` and `cer` for ASR (with a language model: `wer_lm`, `cer_lm`), `der` and
    `acc` for SD. PER, WER and CER are edits summed over the split by reference length, as the leaderboard has
    them; SD's are frame by frame, the mean over recordings, as S3PRL prints them.

    Args:
        split: default the leaderboard's (`test`; ASR `test-clean`). SD has predictions for `test` only.

    Raises:
        InputError: files are missing, or predictions and references do not match.
    """
    folder, known = Path(expdir), find_task(task)
    if known is None:
        raise InputError(f"'{task}' is none of the tasks {', '.join(item.name for item in TASKS)}")
    split = split or known.test_split
    if known.name in ("ks", "ic"):
        suffix = "txt" if known.name == "ks" else "csv"
        return _accuracy(folder / f"{split}_predict.{suffix}", folder / f"{split}_truth.{suffix}")
    if known.name == "pr":
        references, hypotheses = _transcripts(folder, split)
        return {"per": jiwer.wer(references, hypotheses), "utterances": len(references)}  # phones, parted by blanks
    if known.name == "asr":
        return _recognition(folder, split)
    from mmpt.upstream.s3prl_runner.diarization import diarization_score

    return diarization_score(folder)


def _accuracy(predict: Path, truth: Path) -> dict:
    predicted, true = _lines(predict), _lines(truth)
    if len(predicted) != len(true) or not true:
        raise InputError(f"{predict}: {len(predicted)} lines, but {len(true)} in {truth.name}")
    return {"acc": sum(map(str.__eq__, predicted, true)) / len(true), "utterances": len(true)}


def _recognition(folder: Path, split: str) -> dict:
    scores = {}
    for decoder, suffix in (("noLM", ""), ("LM", "_lm")):
        name = f"{split}-{decoder}"
        if (
            decoder == "noLM"
            and not (folder / f"{split}-LM-hyp.ark").is_file()
            or (folder / f"{name}-hyp.ark").is_file()
        ):
            references, hypotheses = _transcripts(folder, name)
            scores[f"wer{suffix}"] = jiwer.wer(references, hypotheses)
            scores[f"cer{suffix}"] = jiwer.cer(references, hypotheses)
            scores["utterances"] = len(references)
    return scores


def _transcripts(folder: Path, name: str) -> tuple[list[str], list[str]]:
    """Texts of `name`-ref.ark and of `name`-hyp.ark, utterance by utterance."""
    tables = []
    for kind in ("ref", "hyp"):
        lines = (line.partition(" ") for line in _lines(folder / f"{name}-{kind}.ark"))
        tables.append([(utterance, text) for utterance, _, text in lines])
    references, hypotheses = tables
    if [utterance for utterance, _ in references] != [utterance for utterance, _ in hypotheses] or not references:
        raise InputError(f"{folder / name}-hyp.ark and -ref.ark do not hold the same utterances")
    return [text for _, text in references], [text for _, text in hypotheses]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; S3PRL writes it with -m evaluate") from error


def _step(path: Path) -> int | None:
    match = re.fullmatch(r"states-(\d+)\.ckpt", path.name)
    return int(match.group(1)) if match else None
