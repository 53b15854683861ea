"""Which English recordings and translations make a pair: one rule for training, dev and test.

The games' translations are free, and some are no translation at all. A pair has an English text of some words, and a
translation of a sensible length that is not the English text again.
"""

from collections import Counter
from dataclasses import dataclass

from mmpt.scripts.samples.pack_tables import GAME_LANGUAGES
from mmpt.scripts.samples.tables import PROMPT_LANGUAGES, Recording
from mmpt.scripts.samples.texts import text_key
from mmpt.scripts.samples.words import to_words

LANGUAGES = tuple(dict.fromkeys((*PROMPT_LANGUAGES, *GAME_LANGUAGES)))
FEWEST_WORDS = 3
LENGTHS = (0.4, 2.5)  # letters of the translation over those of the English text

TOO_SHORT = f"English of fewer than {FEWEST_WORDS} words"
OTHER_LENGTH = f"lengths outside {LENGTHS[0]} to {LENGTHS[1]}"
NOT_TRANSLATED = "the English text again"
REPEATED = "translation is also in dev or test"


@dataclass(frozen=True)
class Pairs:
    """The pairs of one language."""

    language: str
    kept: dict[str, str]  # path of the recording in samples/ → its translation
    dropped: dict[tuple[str, str], int]  # (split, reason) → recordings


def choose_pairs(recordings: list[Recording], language: str) -> Pairs:
    """Return the pairs of a language. No translation is in two splits: the one in the test stays, then that in dev."""
    dropped: Counter[tuple[str, str]] = Counter()
    fitting: dict[str, list[Recording]] = {"test": [], "dev": [], "train": []}
    for item in recordings:
        if item.language != "en" or language not in item.translations:
            continue
        if reason := why_no_pair(item.text, item.translations[language]):
            dropped[item.split, reason] += 1
        else:
            fitting[item.split].append(item)
    kept: dict[str, str] = {}
    taken: set[str] = set()
    for name, items in fitting.items():
        keys = [text_key(item.translations[language]) for item in items]
        kept.update({item.source: item.translations[language] for item, key in zip(items, keys) if key not in taken})
        if repeated := sum(key in taken for key in keys):
            dropped[name, REPEATED] += repeated
        taken.update(keys)
    return Pairs(language, kept, dict(dropped))


def why_no_pair(text: str, translation: str) -> str | None:
    """Return why an English text and a translation are no pair, or None if they are one."""
    if len(to_words(text).split()) < FEWEST_WORDS:
        return TOO_SHORT
    if text_key(text) == text_key(translation):
        return NOT_TRANSLATED
    return None if LENGTHS[0] <= letters(translation) / letters(text) <= LENGTHS[1] else OTHER_LENGTH


def letters(text: str) -> int:
    """Return the number of letters in a text."""
    return sum(character.isalpha() for character in text)
