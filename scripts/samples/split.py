"""The one split of all corpora and stages: who is train, dev and test.

Every builder gets its split from here (through `tables.read_recordings`), so that no utterance is dev or test in one
task and training material in another.
"""

SPLITS = ("train", "dev", "test")

# Keyword spotting and intents split by speaker, so all clips of a Modified Rhyme Test speaker have one split.
MRT_SPEAKERS = {"F1": "train", "M3": "train", "F3": "dev", "M4": "test"}

# F1 of the Harvard sentences may or may not be the MRT's F1; the same split is safe in both cases.
READERS = {
    ("harvard", "F1"): "train",
    ("harvard", "M1"): "train",
    ("harvard", "F2"): "dev",
    ("cards", "CARDS1"): "dev",
    ("harvard", "M2"): "test",
    ("librivox", "LV1"): "test",
}


def of_mrt(speaker: str) -> str:
    """Return the split of all MRT clips of a speaker; KeyError if the speaker has none."""
    return MRT_SPEAKERS[speaker]


def of_reader(source: str, speaker: str) -> str:
    """Return the split of all clips of a reader; KeyError if the reader has none."""
    return READERS[source, speaker]


def of_other_language(prompt: str, english: dict[str, str]) -> str:
    """Return the split of a French, Italian or Russian prompt: that of the same prompt in English, else train.

    Args:
        prompt: its id.
        english: split of each English prompt, by id, from prompts.tsv.
    """
    return english.get(prompt, "train")
