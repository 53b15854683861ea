"""Keep each text on one side of the split: what is said in dev or test is in no stage's training."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mmpt.scripts.samples import split
from mmpt.scripts.samples.tables import Recording

# Of these kinds, everyone says the same sentences or words: they split by speaker alone, as their corpora do. Some
# phrases of intents are an exception (unseen_phrases).
SAME_TEXTS = ("mrt", "intent", "word", "sound")


@dataclass(frozen=True)
class Kept:
    """The recordings that stay, and how many were dropped: (kind, split) → clips."""

    recordings: list[Recording]
    dropped: dict[tuple[str, str], int]


def text_key(text: str) -> str:
    """Return a text without case and punctuation, by which two texts are the same."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def drop_repeated_texts(recordings: list[Recording]) -> Kept:
    """Drop recordings of training whose text is also in dev or test, and those of dev whose text is in test."""
    unseen = unseen_phrases(recordings)
    texts = {
        name: {text_key(item.text) for item in recordings if item.split == name and splits_by_text(item, unseen)}
        for name in ("dev", "test")
    }
    taken = {"train": texts["dev"] | texts["test"], "dev": texts["test"], "test": set()}
    kept: list[Recording] = []
    dropped: Counter[tuple[str, str]] = Counter()
    for item in recordings:
        if splits_by_text(item, unseen) and text_key(item.text) in taken[item.split]:
            dropped[item.kind, item.split] += 1
        else:
            kept.append(item)
    return Kept(kept, dict(dropped))


def splits_by_text(item: Recording, unseen: set[str]) -> bool:
    """Return True if what a recording says must be said in one split alone."""
    return item.kind not in SAME_TEXTS or (item.kind == "intent" and item.text in unseen)


def unseen_phrases(recordings: Iterable[Recording]) -> set[str]:
    """Return one phrase of each intent that has two or more, chosen by hash: only test voices may say it."""
    phrases: dict[tuple[str, str, str], set[str]] = {}
    for item in recordings:
        if item.kind == "intent":
            phrases.setdefault(item.intent, set()).add(item.text)
    return {
        min(texts, key=lambda text: split.percent(f"unseen {text}")) for texts in phrases.values() if len(texts) > 1
    }
