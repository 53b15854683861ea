"""The labels of S3PRL's ASR, and how many states CTC needs for them."""

from collections.abc import Sequence

END = "</s>"


def characters(words: Sequence[str]) -> list[str]:
    """Return the labels of a text: its characters in upper case, "|" after each word, and S3PRL's end symbol."""
    return [*"|".join(words).upper(), "|", END]


def states_needed(labels: Sequence[str]) -> int:
    """Return how many states CTC needs at least: one for each label, one more between equal neighbours."""
    return len(labels) + sum(a == b for a, b in zip(labels, labels[1:]))
