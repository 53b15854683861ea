"""Scores by their definitions, slow and obvious."""

import itertools

import numpy as np


def edits(a: list[str], b: list[str]) -> int:
    """Levenshtein distance by its definition."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, above = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
    return row[-1]


def wrong_by_brute_force(truth, said, step_s=0.005):
    """Frame by frame, every mapping of speakers tried."""
    n = round(max([end for _, end, _ in [*truth, *said]]) / step_s)

    def frames(turns):
        speakers = sorted({speaker for *_, speaker in turns})
        table = np.zeros((n, len(speakers)), dtype=bool)
        for start, end, speaker in turns:
            table[round(start / step_s) : round(end / step_s), speakers.index(speaker)] = True
        return table

    reference, hypothesis = frames(truth), frames(said)
    size = max(reference.shape[1], hypothesis.shape[1])
    reference, hypothesis = (np.pad(t, ((0, 0), (0, size - t.shape[1]))) for t in (reference, hypothesis))
    r, h = reference.sum(1), hypothesis.sum(1)
    correct = max((reference & hypothesis[:, list(order)]).sum() for order in itertools.permutations(range(size)))
    return (np.maximum(r, h).sum() - correct) * step_s, r.sum() * step_s
