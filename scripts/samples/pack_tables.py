"""Read the tables of the packs as recordings, each with its split."""

from dataclasses import dataclass
from pathlib import Path

from mmpt.scripts.samples import split
from mmpt.scripts.samples.packs import FOLDER, source_of
from mmpt.scripts.samples.tables import Recording, known, read_table
from mmpt.scripts.samples.texts import text_key
from mmpt.upstream.errors import InputError

GAMES = ("queen", "bass", "drascula")
GAME_LANGUAGES = ("de", "fr", "it", "es", "pt")  # of the lines' translations
WORD_TIMES = f"{FOLDER}/word_times.tsv"
INTENTS, WORDS = f"{FOLDER}/commands/intents.tsv", f"{FOLDER}/commands/words.tsv"
SLOTS = ("action", "object", "location")
SOUNDS = f"{FOLDER}/sounds/sounds.tsv"
# Tables of lines: game, language that is spoken, path in samples/.
LINES = (
    ("queen", "en", f"{FOLDER}/queen/lines.tsv"),
    ("bass", "en", f"{FOLDER}/bass/lines.tsv"),
    ("drascula", "en", f"{FOLDER}/drascula/lines.tsv"),
    ("drascula", "es", f"{FOLDER}/drascula/lines_es.tsv"),
)
PACK_TABLES = (*(path for _, _, path in LINES), WORD_TIMES, INTENTS, WORDS, SOUNDS)


@dataclass(frozen=True)
class WordTime:
    """When a word is heard in a line, as a recogniser found it."""

    clip: str
    word: str
    start_s: float
    end_s: float


def read_packs(samples: Path) -> list[Recording]:
    """Return every clip of the packs, in the order of their tables.

    Raises:
        InputError: a table is missing or damaged.
    """
    lines = [line for game, language, path in LINES for line in read_lines(samples / path, game, language)]
    return [*lines, *read_commands(samples, "intent"), *read_commands(samples, "word"), *read_sounds(samples)]


def read_lines(table: Path, game: str, language: str) -> list[Recording]:
    """Return the lines of a game that are spoken in a language. English ones have their translations."""
    columns = ("id", "role", "text_en", *(f"text_{name}" for name in GAME_LANGUAGES))
    name = game if language == "en" else f"{game}-{language}"
    return [
        Recording(
            source=source_of(game, row["id"]),
            kind=game,
            clip=row["id"],
            speaker=f"{name}-{row['role']}",
            language=language,
            text=row[f"text_{language}"],
            split=split.of_line(game, row["role"], text_key(row["text_en"])),
            translations=translations(row) if language == "en" else {},
        )
        for row in read_table(table, columns)
    ]


def translations(row: dict[str, str]) -> dict[str, str]:
    """Return the translations of a line, by language."""
    return {name: row[f"text_{name}"] for name in GAME_LANGUAGES if row[f"text_{name}"].strip()}


def read_commands(samples: Path, kind: str) -> list[Recording]:
    """Return the synthetic commands with an intent, or the synthetic single words. `kind`: intent or word."""
    table, own = (INTENTS, ("text", *SLOTS)) if kind == "intent" else (WORDS, ("word",))
    return [
        Recording(
            source=source_of("commands", row["id"]),
            kind=kind,
            clip=row["id"],
            speaker=row["voice"],
            language="en",
            text=row["text" if kind == "intent" else "word"],
            split=known(split.of_voice, samples / table, row["voice"]),
            sex=row["voice"][1].upper(),
            word=row.get("word", ""),
            intent=(row.get(SLOTS[0], ""), row.get(SLOTS[1], ""), row.get(SLOTS[2], "")),
        )
        for row in read_table(samples / table, ("id", "voice", *own))
    ]


def read_sounds(samples: Path) -> list[Recording]:
    """Return the noises and pieces of music. They have no text; the speaker names the kind, noise or music."""
    return [
        Recording(
            source=source_of("sounds", row["id"]),
            kind="sound",
            clip=row["id"],
            speaker=row["kind"],
            language="-",
            text="",
            split=split.of_sound(row["source_file"]),
        )
        for row in read_table(samples / SOUNDS, ("id", "kind", "source_file"))
    ]


def read_word_times(samples: Path) -> list[WordTime]:
    """Return the times of words in the lines of queen and bass.

    Raises:
        InputError: the table is missing, or a time is not a number.
    """
    rows = read_table(samples / WORD_TIMES, ("id", "word", "start_s", "end_s"))
    try:
        return [WordTime(row["id"], row["word"], float(row["start_s"]), float(row["end_s"])) for row in rows]
    except ValueError as error:
        raise InputError(f"{samples / WORD_TIMES}: {error}") from None
