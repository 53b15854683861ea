"""Turn texts into words, words into phones, and a Modified Rhyme Test word into its three parts."""

import re
from pathlib import Path

from mmpt.upstream.errors import InputError

LEXICON_FILES = ("lexicon.txt", "lexicon_extra.txt")
NO_PHONE = "none"


def to_words(text: str) -> str:
    """Return a text in LibriSpeech's spelling (see samples/README.md): A-Z, inner apostrophes, single blanks."""
    words = (word.strip("'") for word in re.sub(r"[^A-Z']", " ", text.upper()).split())
    return " ".join(word for word in words if word)


def read_lexicon(samples: Path) -> dict[str, str]:
    """Return the phones of each WORD, joined by blanks: the first pronunciation, which CMUdict has as the usual one.

    Raises:
        InputError: a lexicon is missing.
    """
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
    """Return the parts of a word: ("S", "EH", "N-T") for "S EH1 N T".

    Stress is dropped, clusters are joined by "-", and an empty part is "none".

    Raises:
        ValueError: the word does not have exactly one vowel (the phone that ends in a stress digit).
    """
    phones = arpabet.split()
    vowels = [place for place, phone in enumerate(phones) if phone[-1].isdigit()]
    if len(vowels) != 1:
        raise ValueError(f"{arpabet!r} has {len(vowels)} vowels, not one")
    (place,) = vowels
    onset, coda = "-".join(phones[:place]), "-".join(phones[place + 1 :])
    return onset or NO_PHONE, phones[place].rstrip("012"), coda or NO_PHONE
