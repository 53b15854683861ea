"""Which source clips stand in which built file: the table that proves the split."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "provenance.tsv"
COLUMNS = ("corpus", "split", "file", "source_clips")


@dataclass(frozen=True)
class Built:
    """One built sound file: its path in the built folder and the paths in samples/ that it holds, in order."""

    corpus: str
    split: str  # train, dev or test, whatever the corpus's own folder is called
    file: str
    source_clips: tuple[str, ...]


def write_provenance(root: Path, built: Iterable[Built]) -> None:
    """Write root/provenance.tsv, sorted by file; several source clips are joined by commas."""
    rows = sorted(built, key=lambda row: row.file)
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join((row.corpus, row.split, row.file, ",".join(row.source_clips))) for row in rows]
    (root / FILE_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_provenance(root: Path) -> list[Built]:
    lines = (root / FILE_NAME).read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return [Built(corpus, split, file, tuple(clips.split(","))) for corpus, split, file, clips in rows]
