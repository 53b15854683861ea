"""Read test items from what S3PRL writes: their sums are the scores of `experiment.score`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np

from mmpt.superb.statistics import speakers
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.diarization import recording_scores
from mmpt.upstream.s3prl_runner.experiment import decoders, newest_config, read_labels, read_transcripts
from mmpt.upstream.statistics.items import Items


def read_items(experiment: Path, task: str, split: str) -> dict[str, Items]:
    """Return the items of one head seed for each metric that `experiment.score` gives.

    Args:
        experiment: S3PRL's folder, with the predictions.
        task: ks, ic, pr, sd or asr.
        split: of the test.

    Raises:
        InputError: files are missing, or predictions and references do not match.
    """
    if task in ("ks", "ic"):
        return {"acc": _labels(experiment, task, split)}
    if task == "sd":
        return _diarization(experiment)
    if task == "pr":
        return {"per": _errors(*read_transcripts(experiment, split), jiwer.process_words)}  # words are phones
    found = {}
    for suffix, name in decoders(experiment, split).items():
        transcripts = read_transcripts(experiment, name)
        found[f"wer{suffix}"] = _errors(*transcripts, jiwer.process_words)
        found[f"cer{suffix}"] = _errors(*transcripts, jiwer.process_characters)
    return found


def merge_seeds(runs: Sequence[Items]) -> Items:
    """Return the items of several head seeds as one.

    Raises:
        InputError: the seeds were tested on different items.
    """
    first, counts = runs[0], []
    for run in runs:
        place = {name: index for index, name in enumerate(run.ids)}
        if place.keys() != set(first.ids):
            raise InputError("head seeds of one encoder were tested on different items: score it again")
        order = [place[name] for name in first.ids]
        if not np.array_equal(run.units[order], first.units):
            raise InputError("head seeds of one encoder were tested with different references: score it again")
        counts.append(run.counts[:, order])
    return replace(first, counts=np.concatenate(counts))


def check_scored(scored: dict[str, float], items: dict[str, Items], folder: Path) -> None:
    """Raise InputError if the predictions in a job's folder are not those that were scored."""
    for metric, found in items.items():
        if scored.get(metric) is not None and not np.isclose(found.score, scored[metric], rtol=0, atol=1e-9):
            raise InputError(f"{folder}: its predictions give another {metric} than results.json: run it again")


def by_speaker(items: Items) -> dict[str, float]:
    """Return speaker → score, the mean over seeds.

    An item of two speakers counts for both. One that stands alone, such as silence, has no speaker, and is left out.
    """
    sums: dict[str, np.ndarray] = {}
    for item, names, count, unit in zip(items.ids, items.clusters, items.counts.mean(axis=0), items.units):
        for name in set(names.split("+")) - {item}:
            sums[name] = sums.get(name, np.zeros(2)) + (count, unit)
    return {name: float(count / unit) for name, (count, unit) in sorted(sums.items()) if unit}


def _labels(experiment: Path, task: str, split: str) -> Items:
    predicted, true = read_labels(experiment, task, split)
    clips = [line.partition("," if task == "ic" else " ")[0] for line in true]
    if task == "ks":
        clusters = speakers.of_speech_commands(clips)
    else:
        clusters = speakers.of_fluent_commands(clips, newest_config(experiment), split)
    right = [[float(ours == theirs) for ours, theirs in zip(predicted, true)]]
    return Items(_once(clips), tuple(clusters), np.array(right), np.ones(len(true)))


def _errors(utterances: list[str], references: list[str], hypotheses: list[str], process) -> Items:
    """Return edits and lengths of the references. `process`: jiwer's, for words or characters."""
    output = process(references, hypotheses)
    edits = [
        sum(
            max(part.ref_end_idx - part.ref_start_idx, part.hyp_end_idx - part.hyp_start_idx)
            for part in parts
            if part.type != "equal"
        )
        for parts in output.alignments
    ]
    lengths = np.array([len(reference) for reference in output.references])
    return Items(_once(utterances), tuple(speakers.of_librispeech(utterances)), np.array([edits]), lengths)


def _diarization(experiment: Path) -> dict[str, Items]:
    results = recording_scores(experiment)
    clusters = tuple(speakers.of_mixtures(list(results), newest_config(experiment)))
    scores = np.array(list(results.values()))  # (recordings, error and accuracy)
    ids, units = tuple(results), np.ones(len(results))
    return {name: Items(ids, clusters, scores[:, [i]].T, units) for i, name in enumerate(("der", "acc"))}


def _once(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, numbered where one comes again: files of one name may lie in several folders."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(unique)
