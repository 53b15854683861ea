"""The utterances that ASR recognises worst: the reference, and beside it what each encoder's head wrote."""

from dataclasses import dataclass
from pathlib import Path

import jiwer

from mmpt.superb.report.collect import Collection
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.experiment import decoders, read_transcripts

SPLIT = "test-clean"
MOST = 10  # utterances
Words = list[tuple[str, str]]  # text, and what it is: "right", "wrong" (another word, or one too many), "missing"


@dataclass(frozen=True)
class Utterance:
    """One utterance.

    Args:
        name: LibriSpeech's.
        reference: what was said.
        hypotheses: encoder → what its head wrote.
        edits: encoder → character errors.
    """

    name: str
    reference: str
    hypotheses: dict[str, Words]
    edits: dict[str, int]


def worst_utterances(found: Collection) -> list[Utterance]:
    """Return the utterances of test-clean with the most character errors of the last encoder, worst first.

    An encoder's first head seed counts. Encoders whose predictions are gone, or that were tested on other utterances,
    are left out.
    """
    texts: dict[str, dict[str, tuple[str, str]]] = {}
    for job in found.jobs:
        if job["task"] == "asr" and job["chosen"] and job["encoder"] not in texts:
            if known := _read(job["experiment"]):
                texts[job["encoder"]] = known
    order = [row.name for row in found.rows if row.name in texts]
    if not order:
        return []
    references = {name: reference for name, (reference, _) in texts[order[-1]].items()}
    same = [
        encoder
        for encoder in order
        if {name: reference for name, (reference, _) in texts[encoder].items()} == references
    ]
    edits = {encoder: {name: character_edits(*pair) for name, pair in texts[encoder].items()} for encoder in same}
    wrong = [name for name in references if edits[same[-1]][name]]
    worst = sorted(wrong, key=lambda name: (-edits[same[-1]][name], name))[:MOST]
    return [
        Utterance(
            name,
            references[name],
            {encoder: compared_words(*texts[encoder][name]) for encoder in same},
            {encoder: edits[encoder][name] for encoder in same},
        )
        for name in worst
    ]


def character_edits(reference: str, hypothesis: str) -> int:
    """Return how many characters to insert, delete or replace."""
    if not reference:
        return len(hypothesis)  # jiwer refuses an empty reference
    found = jiwer.process_characters(reference, hypothesis)
    return found.substitutions + found.deletions + found.insertions


def compared_words(reference: str, hypothesis: str) -> Words:
    """Return the hypothesis's words, and in their places those of the reference that it lacks; nothing if empty."""
    true, written = reference.split(), hypothesis.split()
    if not true or not written:
        return [(word, "wrong") for word in written]
    words: Words = []
    for part in jiwer.process_words(reference, hypothesis).alignments[0]:
        if part.type == "delete":
            words += [(word, "missing") for word in true[part.ref_start_idx : part.ref_end_idx]]
        else:
            kind = "right" if part.type == "equal" else "wrong"
            words += [(word, kind) for word in written[part.hyp_start_idx : part.hyp_end_idx]]
    return words


def _read(experiment: Path) -> dict[str, tuple[str, str]]:
    """Return utterance → reference and hypothesis; empty if the predictions are gone."""
    name = next(iter(decoders(experiment, SPLIT).values()))
    try:
        return {key: (reference, text) for key, reference, text in zip(*read_transcripts(experiment, name))}
    except InputError:
        return {}
