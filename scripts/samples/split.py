"""Who is train, dev and test: one split for every corpus and every stage.

Every builder gets its split from here (through `tables.read_recordings`), so that an utterance which is dev or
test in one task cannot be training material of another.
"""

SPLITS = ("train", "dev", "test")

# Keyword spotting and intents split by speaker, so a Modified Rhyme Test speaker goes to one side with all clips.
MRT_SPEAKERS = {"F1": "train", "M3": "train", "F3": "dev", "M4": "test"}

# The label F1 of the Harvard sentences may or may not be the MRT's F1: the same side is safe in both cases.
READERS = {
    ("harvard", "F1"): "train",
    ("harvard", "M1"): "train",
    ("harvard", "F2"): "dev",
    ("cards", "CARDS1"): "dev",
    ("harvard", "M2"): "test",
    ("librivox", "LV1"): "test",
}


def of_mrt(speaker: str) -> str:
    """Split of every MRT clip of a speaker; KeyError for a speaker without one."""
    return MRT_SPEAKERS[speaker]


def of_reader(source: str, speaker: str) -> str:
    """Split of every clip of a reader; KeyError for a reader without one."""
    return READERS[source, speaker]


def of_other_language(prompt: str, english: dict[str, str]) -> str:
    """Split of a French, Italian or Russian prompt: that of the English prompt it translates, else train.

    english: prompt id → split, from prompts.tsv.
    """
    return english.get(prompt, "train")
