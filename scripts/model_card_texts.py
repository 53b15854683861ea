"""What a model card has to say about the recordings of samples/: sources, licences and limits."""

from typing import NamedTuple


class Source(NamedTuple):
    """Recordings under one licence: what they are, the licence in short, and its files in samples/."""

    what: str
    licence: str
    files: tuple[str, ...]


GAMES = Source(
    "acted lines of three games (queen, bass, drascula), in a modified version",
    "the games' own: free to pass on with licence and notice of changes, no fee for the game itself",
    ("packs/README.md", "packs/queen/LICENSE.txt", "packs/bass/LICENSE.txt", "packs/drascula/LICENSE.txt"),
)
PROMPTS = Source(
    "telephone prompts of Asterisk, and their texts",
    "CC-BY-SA-3.0 and CC-BY-3.0, by language",
    ("asterisk/LICENSE.txt", "asterisk/CREDITS.txt"),
)
RHYMES = Source("words of the Modified Rhyme Test", "NIST notice, public domain in the USA", ("mrt/LICENSE.txt",))
READERS = Source(
    "a few readers",
    "NIST notice; BSD-2-Clause; public domain",
    ("readers/LICENSE.harvard.txt", "readers/LICENSE.librivox-cards.txt"),
)
VOICES = Source("synthetic voices (Kokoro-82M)", "Apache-2.0", ("packs/commands/LICENSE.txt",))
SOUNDS = Source(
    "noises and music", "CC-BY-SA, CC-BY, CC0, BSD-2-Clause and public domain, by clip", ("packs/sounds/LICENSE.txt",)
)
# Data set, as provenance names it → its sources. Sets of clips are those of scripts/samples/av_clips.py.
SOURCES = {
    "speech-games": (GAMES,),
    "speech-spanish": (GAMES,),
    "speech-prompts": (PROMPTS, RHYMES, READERS),
    "synthetic-commands": (VOICES,),
    "sounds": (SOUNDS,),
    "samples must_c": (GAMES, PROMPTS),
    "samples librispeech transcripts": (GAMES, PROMPTS, RHYMES, READERS),
}

RIGHTS = """\
The file holds no recording.
Whether a licence of recordings extends to weights that were trained on them is not settled.
If in doubt, treat the encoder as made from all of them.
Then pass it on with this page and the licences, name the sources, and do not sell it on its own."""

LIMITS = """\
- It was trained once. Other seeds of training would move its figures; the intervals leave that out.
- Figures on other data, or of other heads, are not those of the SUPERB leaderboard: only columns of one run compare."""

LIMITS_OF_SAMPLES = """\
- It has heard some hours of speech, mostly English and acted; published encoders have heard thousands.
- Tests are of roles that no stage was trained on. An actor may have spoken several roles, so persons may be known.
- The games' recordings have nothing above 5.5 kHz. All intents (IC) are spoken by synthetic voices.
- All mouths that pre-training saw are rendered from the sound: it shows nothing about video of people."""
