"""How much of the recordings a build takes: a small one has all of dev and test, and a part of training."""

from collections.abc import Container

from mmpt.scripts.samples import split
from mmpt.scripts.samples.tables import Recording

SMALL, FULL = "small", "full"
# Of the packs' training recordings, per cent that a small build has. What is not named is in it whole: bass, since
# stage 2 learns half an hour of translations by heart. A role that has two thirds of its game's training speech counts
# by itself: mixtures need pairs of many roles.
PERCENT = {"queen": 30, "queen-JOE": 3, "drascula": 25, "intent": 61, "word": 61, "sound": 40}


def choose(recordings: list[Recording], size: str, with_commands: Container[str]) -> list[Recording]:
    """Return the recordings of a build. The small part is the same in every build: a clip's hash decides.

    Args:
        recordings: all that there are.
        size: of the build.
        with_commands: the lines in which a command of keyword spotting is heard. Small builds have all of them.
    """
    if size == FULL:
        return recordings
    return [item for item in recordings if item.split != "train" or item.clip in with_commands or is_small(item)]


def is_small(item: Recording) -> bool:
    """Return True if a training recording is in small builds. Of synthetic voices, all clips of a voice or none are."""
    key = item.speaker if item.kind in ("intent", "word") else item.clip
    return split.percent(f"small {key}") < PERCENT.get(item.speaker, PERCENT.get(item.kind, 100))
