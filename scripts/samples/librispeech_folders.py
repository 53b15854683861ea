"""Which folder of LibriSpeech a recording belongs to: which train, which are clean, which are other."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mmpt.scripts.samples import split
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.words import to_words
from mmpt.superb.ctc_labels import characters, states_needed

TRAIN, TRAIN_OTHER = "train-clean-100", "train-other-500"
FOLDERS = (TRAIN, TRAIN_OTHER, "dev-clean", "dev-other", "test-clean", "test-other")
# At most so many utterances of a role in a folder: roles weigh alike, and an evaluation is short.
MOST_OF_A_ROLE = {"dev-clean": 40, "dev-other": 40, "test-clean": 60, "test-other": 40}
UNTOLD = f"queen-{split.QUEEN_UNKNOWN}"
PAPER_HOP = 640  # samples a state of the paper's encoder: 40 ms


@dataclass
class Chosen:
    """The recordings of LibriSpeech by folder, and how many were left out, by reason."""

    folders: dict[str, list[Recording]] = field(default_factory=lambda: {name: [] for name in FOLDERS})
    left_out: Counter[str] = field(default_factory=Counter)


def choose(recordings: Iterable[Recording], lexicon: dict[str, str], samples_of: Callable[[str], int]) -> Chosen:
    """Return what LibriSpeech is built from, of all recordings of English by persons.

    Args:
        recordings: of all kinds and languages.
        lexicon: phones by word.
        samples_of: returns the length of a recording at 16 kHz, by its source.
    """
    found = Chosen()
    for item in recordings:
        if item.language != "en" or item.kind in ("intent", "word"):
            continue
        if reason := reason_to_leave_out(item, samples_of):
            found.left_out[reason] += 1
        else:
            found.folders[folder_of(item, lexicon)].append(item)
    for name, most in MOST_OF_A_ROLE.items():
        kept = at_most(found.folders[name], most)
        found.left_out[f"lines of {name} beyond {most} a role"] += len(found.folders[name]) - len(kept)
        found.folders[name] = kept
    return found


def reason_to_leave_out(item: Recording, samples_of: Callable[[str], int]) -> str:
    """Return why a recording is in no folder; empty if it is in one."""
    if item.kind == "bass" and item.split != "train":
        return "lines of bass in dev and test: its roles are clusters of voices, so these are for translation alone"
    if item.kind == "mrt" and item.split != "train":
        return "carrier sentences of dev and test"
    if is_second_take(item):
        return "carrier sentences that the other training speaker says"
    if not is_spelt(item.text):
        return "texts with digits or foreign letters"
    if item.split == "train" and not is_alignable(item, samples_of):
        return "training lines with more characters than states of 40 ms, which CTC cannot align"
    return ""


def folder_of(item: Recording, lexicon: dict[str, str]) -> str:
    """Return the folder of a recording.

    Clean are the lines of queen, whose texts are what is said, if all their words are in the lexicon. The rest of dev
    and test is other: speakers who train too or are not told, texts that were edited, words without phones.
    """
    has_phones = all(word in lexicon for word in to_words(item.text).split())
    if item.split == "train":
        return TRAIN if has_phones else TRAIN_OTHER
    is_clean = item.kind == "queen" and item.speaker != UNTOLD and has_phones
    return f"{item.split}-{'clean' if is_clean else 'other'}"


def is_spelt(text: str) -> bool:
    """Return True if a text has words, and its letters are those that a transcript may have."""
    return bool(to_words(text)) and not re.search(r"[^\W_A-Za-z]", text)


def is_alignable(item: Recording, samples_of: Callable[[str], int]) -> bool:
    """Return True if ASR's loss can align a recording at the paper's frame rate.

    Encoders with more states could learn from the others, and would train on more lines than the paper's.
    """
    labels = characters(to_words(item.text).split())
    return states_needed(labels) <= round(samples_of(item.source) / PAPER_HOP)


def is_second_take(item: Recording) -> bool:
    """Return True if an MRT clip is left to the other training speaker: F1 reads the odd lists, M3 the even ones.

    With both, hundreds of training utterances more would begin with the same four words.
    """
    return item.kind == "mrt" and (int(item.clip.split("_b")[1][:2]) % 2 == 1) != (item.speaker == "F1")


def at_most(recordings: list[Recording], most: int) -> list[Recording]:
    """Return at most so many recordings of each speaker, in their order. A hash decides, in every build alike."""
    by_speaker: dict[str, list[Recording]] = {}
    for item in recordings:
        by_speaker.setdefault(item.speaker, []).append(item)
    chosen = {
        item.source
        for group in by_speaker.values()
        for item in sorted(group, key=lambda item: split.percent(f"librispeech {item.clip}"))[:most]
    }
    return [item for item in recordings if item.source in chosen]
