"""Texts to words, words to phones, and the three parts of a Modified Rhyme Test word."""

import re
from pathlib import Path

from mmpt.upstream.errors import InputError

LEXICON_FILES = ("lexicon.txt", "lexicon_extra.txt")
NO_PHONE = "none"


def to_words(text: str) -> str:
    """LibriSpeech's spelling by the word rule of samples/README.md: A-Z and inner apostrophes, single blanks."""
    words = (word.strip("'") for word in re.sub(r"[^A-Z']", " ", text.upper()).split())
    return " ".join(word for word in words if word)


def read_lexicon(samples: Path) -> dict[str, str]:
    """WORD → phones joined by blanks, first pronunciation only (CMUdict lists the most usual one first)."""
    lexicon: dict[str, str] = {}
    for name in LEXICON_FILES:
        path = samples / name
        if not path.is_file():
            raise InputError(f"{path}: no such lexicon; --samples must name the repository's samples folder")
        for line in path.read_text(encoding="utf-8").splitlines():
            word, _, phones = line.partition("\t")
            if not word.endswith(")"):
                lexicon.setdefault(word, phones)
    return lexicon


def onset_vowel_coda(arpabet: str) -> tuple[str, str, str]:
    """ "S EH1 N T" → ("S", "EH", "N-T"): stress dropped, clusters joined by "-", "none" for an empty side.

    Raises ValueError unless there is exactly one vowel (the phone that ends in a stress digit).
    """
    phones = arpabet.split()
    vowels = [place for place, phone in enumerate(phones) if phone[-1].isdigit()]
    if len(vowels) != 1:
        raise ValueError(f"{arpabet!r} has {len(vowels)} vowels, not one")
    (place,) = vowels
    onset, coda = "-".join(phones[:place]), "-".join(phones[place + 1 :])
    return onset or NO_PHONE, phones[place].rstrip("012"), coda or NO_PHONE
