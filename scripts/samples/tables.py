"""Read the tables of samples/ as one list of recordings, each with its split."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mmpt.scripts.samples import split
from mmpt.upstream.errors import InputError

TABLES = ("mrt/clips.tsv", "asterisk/prompts.tsv", "asterisk/others.tsv", "readers/clips.tsv")
PROMPT_LANGUAGES = ("it", "fr", "es", "ru", "de", "nl")  # of the prompts' translations


@dataclass(frozen=True)
class Recording:
    """One recorded clip."""

    source: str  # path in samples/, by which it is known everywhere
    kind: str  # mrt, prompt or reader; of the packs: queen, bass, drascula, intent, word or sound
    clip: str
    speaker: str
    language: str
    text: str
    split: str
    sex: str = "-"  # as the sources label it; "-" if they do not
    word: str = ""  # MRT and synthetic words
    arpabet: str = ""  # this and the next two: MRT only
    word_onset_s: float = 0.0
    word_duration_s: float = 0.0
    translations: dict[str, str] = field(default_factory=dict)  # of English prompts and lines, by language
    intent: tuple[str, str, str] = ("", "", "")  # action, object, location of a synthetic command

    @property
    def key(self) -> str:
        """A name that is unique among all recordings, and a file name: prompts of four languages share their ids."""
        return f"{self.speaker}_{self.clip}" if self.kind == "prompt" else self.clip


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Read the rows of a tab-separated table with a header.

    Raises:
        InputError: the table is missing, or lacks one of `columns`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such table; --samples must name the repository's samples folder")
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = reader.fieldnames or ()
        missing = [name for name in columns if name not in names]
        if missing:
            raise InputError(f"{path}: column missing: {', '.join(missing)}")
        rows = list(reader)
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(f"{path}: line {line} does not have {len(names)} columns")
    return rows


def read_recordings(samples: Path) -> list[Recording]:
    """Return every clip of samples/ outside the packs, in the order of its tables.

    Raises:
        InputError: a table is missing or damaged, or a voice has no split.
    """
    if not samples.is_dir():
        raise InputError(f"{samples}: no such folder; --samples must name the repository's samples folder")
    return [*read_mrt(samples), *read_prompts(samples), *read_readers(samples)]


def read_mrt(samples: Path) -> list[Recording]:
    """Return the clips of the Modified Rhyme Test."""
    table = samples / TABLES[0]
    columns = ("clip", "speaker", "sex", "word", "arpabet", "text", "word_onset_s", "word_duration_s")
    return [
        Recording(
            source=f"mrt/audio/{row['clip']}.opus",
            kind="mrt",
            clip=row["clip"],
            speaker=row["speaker"],
            language="en",
            text=row["text"],
            split=known(split.of_mrt, table, row["speaker"]),
            sex=row["sex"][0].upper(),
            arpabet=row["arpabet"],
            word=row["word"],
            word_onset_s=float(row["word_onset_s"]),
            word_duration_s=float(row["word_duration_s"]),
        )
        for row in read_table(table, columns)
    ]


def read_prompts(samples: Path) -> list[Recording]:
    """Return the prompts of all languages."""
    table = samples / TABLES[1]
    english = read_table(table, ("id", "en", "split", *PROMPT_LANGUAGES))
    for row in english:
        if row["split"] not in split.SPLITS:
            raise InputError(f"{table}: {row['id']} has the split {row['split']!r}, not train, dev or test")
    prompts = [
        Recording(
            source=f"asterisk/en/{row['id']}.g722",
            kind="prompt",
            clip=row["id"],
            speaker="Allison",
            language="en",
            text=row["en"],
            split=row["split"],
            translations={language: row[language] for language in PROMPT_LANGUAGES if row[language].strip()},
        )
        for row in english
    ]
    english_split = {row["id"]: row["split"] for row in english}
    others = read_table(samples / TABLES[2], ("language", "speaker", "id", "text"))
    return prompts + [
        Recording(
            source=f"asterisk/{row['language']}/{row['id']}.g722",
            kind="prompt",
            clip=row["id"],
            speaker=row["speaker"],
            language=row["language"],
            text=row["text"],
            split=split.of_other_language(row["id"], english_split),
        )
        for row in others
    ]


def read_readers(samples: Path) -> list[Recording]:
    """Return the clips of the readers."""
    table = samples / TABLES[3]
    return [
        Recording(
            source=f"readers/{row['clip']}.flac",
            kind="reader",
            clip=row["clip"],
            speaker=row["speaker"],
            language="en",
            text=row["text"],
            split=known(split.of_reader, table, row["source"], row["speaker"]),
            # Only the labels of the Harvard talkers tell it: F1 F2 M1 M2.
            sex=row["speaker"][0] if row["source"] == "harvard" else "-",
        )
        for row in read_table(table, ("clip", "source", "speaker", "text"))
    ]


def known(split_of: Callable[..., str], table: Path, *names: str) -> str:
    """Return split_of(*names); InputError names the table and the voice if it has no split."""
    try:
        return split_of(*names)
    except KeyError:
        raise InputError(f"{table}: {' '.join(names)} has no split in scripts/samples/split.py") from None
