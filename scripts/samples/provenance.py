"""provenance.tsv: which source clips each built file holds. It proves that no clip crosses the split."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "provenance.tsv"
COLUMNS = ("corpus", "split", "file", "source_clips")


@dataclass(frozen=True)
class BuiltFile:
    """One built sound file."""

    corpus: str
    split: str  # train, dev or test, whatever the corpus calls its folders
    file: str  # path in the built folder
    source_clips: tuple[str, ...]  # paths in samples/ of the clips in it, in order


def write_provenance(root: Path, built: Iterable[BuiltFile]) -> None:
    """Write root/provenance.tsv, sorted by file; several source clips are joined by commas."""
    rows = sorted(built, key=lambda row: row.file)
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join((row.corpus, row.split, row.file, ",".join(row.source_clips))) for row in rows]
    (root / FILE_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_provenance(root: Path) -> list[BuiltFile]:
    """Read what write_provenance wrote."""
    lines = (root / FILE_NAME).read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return [BuiltFile(corpus, split, file, tuple(clips.split(","))) for corpus, split, file, clips in rows]


def listed_files(root: Path) -> set[str]:
    """Return the paths inside `root` of the sound files that provenance.tsv lists; none if it is not there."""
    return {built.file for built in read_provenance(root)} if (root / FILE_NAME).is_file() else set()
