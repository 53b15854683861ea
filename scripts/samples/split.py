"""The one split of all corpora and stages: who is train, dev and test.

Every builder gets its split from here (through `tables.read_recordings`), so that no utterance is dev or test
in one task and training material in another.
"""

import hashlib

SPLITS = ("train", "dev", "test")

# Words of the Modified Rhyme Test split by speaker, so all clips of a speaker have one split.
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

# Roles of Flight of the Amazon Queen; those not named are training. Roles that speak many command words are dev and
# test, so that keyword spotting has enough real words there.
QUEEN_TEST = "BOB FAYE SPARKY HENRY SEC KLUNK IAN JIM PRIN CHEF APE LARIS MARYLOU BEDRAGGLED".split()
QUEEN_DEV = "ZOMBIE BUD TAM JOHN CHIEF ORACLE SKIP EDDY".split()
# Cutscene lines whose speaker is not told: anyone may be heard in them, so they train nothing.
QUEEN_UNKNOWN = "CUT"

# Drascula: the player's character trains, the others are test.
DRASCULA_TRAIN = "HACKER"

# Beneath a Steel Sky has clusters of voices in place of roles. It splits by text, per cent of the texts.
BASS_TEST_PERCENT = 8
BASS_DEV_PERCENT = 8

# Synthetic voices: of each accent and sex (the first two letters), some are dev and test.
VOICES_TEST = "af_bella af_nova am_liam am_puck bf_emma bm_george af_sky am_onyx am_fenrir".split()
VOICES_DEV = "af_kore am_eric bf_lily bm_lewis".split()
VOICES_TRAIN = (
    "af_alloy af_aoede af_heart af_jessica af_nicole af_river af_sarah am_adam am_echo am_michael am_santa "
    "bf_alice bf_isabella bm_daniel bm_fable"
).split()

SOUNDS_TEST_PERCENT = 15
SOUNDS_DEV_PERCENT = 10


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


def of_line(game: str, role: str, key: str) -> str:
    """Return the split of a line of a game.

    Args:
        game: bass, queen or drascula.
        role: who speaks it.
        key: its text, spelt as `text_key` does.
    """
    if game == "queen":
        return "test" if role in QUEEN_TEST else "dev" if role in (*QUEEN_DEV, QUEEN_UNKNOWN) else "train"
    if game == "drascula":
        return "train" if role == DRASCULA_TRAIN else "test"
    return by_percent(key, BASS_TEST_PERCENT, BASS_DEV_PERCENT)


def of_voice(voice: str) -> str:
    """Return the split of a synthetic voice; KeyError if it has none."""
    groups = {"train": VOICES_TRAIN, "dev": VOICES_DEV, "test": VOICES_TEST}
    return {name: side for side, names in groups.items() for name in names}[voice]


def of_sound(source_file: str) -> str:
    """Return the split of a noise or piece of music, the same for all pieces of a file."""
    return by_percent(source_file, SOUNDS_TEST_PERCENT, SOUNDS_DEV_PERCENT)


def by_percent(key: str, test: float, dev: float) -> str:
    """Return the split of a key, by its hash: `test` and `dev` per cent of all keys, else train."""
    place = percent(key)
    return "test" if place < test else "dev" if place < test + dev else "train"


def percent(key: str) -> float:
    """Return a number from 0 to 100 that depends on nothing but the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") * 100 / 256**6
