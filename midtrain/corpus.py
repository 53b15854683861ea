"""The corpora of stage 2: MuST-C as published, or a folder that scripts/prepare/must_c.py made of it."""

import csv
import json
from abc import ABC, abstractmethod
from pathlib import Path

from mmpt.midtrain.published_must_c import language_folder, published_splits, read_split
from mmpt.midtrain.segments import TRAIN, Segment, Split
from mmpt.midtrain.vocabulary import Vocabulary, load_vocabulary
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import replacing
from mmpt.upstream.repository import in_built_samples

FORMAT, VERSION = "mmpt_av_segments", 1
ABOUT, VOCABULARY = "corpus.json", "vocabulary.model"
COLUMNS = ("id", "audio", "start", "samples", "flac_bytes", "speaker", "source", "target")


class TranslationCorpus(ABC):
    """Segments of English speech in splits, each with its translation. `open_corpus` makes one.

    Attributes:
        name: for logs and provenance; it tells whether the corpus was built from the sample recordings.
        language: of the translations.
        splits: names of the splits that are there.
        folder: where the corpus lies.
    """

    def __init__(self, name: str, language: str, splits: list[str], folder: Path):
        self.name, self.language, self.splits, self.folder = name, language, splits, folder

    def read(self, name: str) -> Split:
        """Read and check a split.

        Raises:
            InputError: the split is missing, or its files do not fit together.
        """
        if name not in self.splits:
            raise InputError(f"{self.folder}: no split {name!r} here (there is {', '.join(self.splits) or 'none'})")
        return self.read_split(name)

    @abstractmethod
    def read_split(self, name: str) -> Split:
        """Read one of `splits`."""

    def vocabulary(self, size: int) -> Vocabulary | None:
        """Return the prepared vocabulary if it was made for `size` sub-words, else None."""
        return None


class PublishedCorpus(TranslationCorpus):
    """A folder en-xx of MuST-C as published."""

    def __init__(self, folder: Path, language: str, max_frames: int):
        super().__init__(corpus_name(must_c(language), folder), language, published_splits(folder), folder)
        self.max_frames = max_frames

    def read_split(self, name: str) -> Split:
        return read_split(self.folder, self.language, name, self.max_frames)


class PreparedCorpus(TranslationCorpus):
    """A folder that scripts/prepare/must_c.py made."""

    def __init__(self, folder: Path, language: str, max_frames: int):
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            its_language, splits, its_max_frames = about["language"], list(about["splits"]), about["max_frames"]
            self.vocabulary_size = about["vocabulary_size"]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{folder / ABOUT}: is damaged; prepare the corpus again") from None
        if (about.get("format"), about.get("version")) != (FORMAT, VERSION):
            raise InputError(f"{folder / ABOUT}: is of another version; prepare the corpus again")
        if its_language != language:
            raise InputError(f"{folder}: was prepared for target language {its_language!r}, not {language!r}")
        if max_frames > its_max_frames:
            raise InputError(
                f"{folder}: was prepared with --max-frames {its_max_frames}, less than data.max_frames={max_frames}; "
                "lower that, or prepare the corpus again"
            )
        super().__init__(about.get("corpus", must_c(language)), language, splits, folder)  # older ones are of MuST-C
        self.max_frames = max_frames

    def read_split(self, name: str) -> Split:
        table = self.folder / f"{name}.tsv"
        segments, changes = read_table(table), {}
        for audio in dict.fromkeys(s.audio for s in segments):
            if not audio.is_file():
                raise InputError(f"{audio}: no such file, but {table} names it; was it moved? Prepare the corpus again")
        if name == TRAIN:
            long = [s.id for s in segments if s.frames > self.max_frames]
            changes = {f"dropped: longer than {self.max_frames} frames": long} if long else {}
            segments = [s for s in segments if s.frames <= self.max_frames]
        if not segments:
            raise InputError(f"{table}: no segment is left")
        return Split(name, segments, changes)

    def vocabulary(self, size: int) -> Vocabulary | None:
        return load_vocabulary(self.folder / VOCABULARY) if size == self.vocabulary_size else None


def open_corpus(root: Path, language: str, max_frames: int) -> TranslationCorpus:
    """Open the corpus of translations into `language` in a folder.

    Args:
        root: a folder made by scripts/prepare/must_c.py, or MuST-C's en-xx, or the folder that holds en-xx.
        language: code of the target language.
        max_frames: longer training segments are dropped.

    Raises:
        InputError: the folder holds no such corpus.
    """
    if (root / ABOUT).is_file():
        return PreparedCorpus(root, language, max_frames)
    return PublishedCorpus(language_folder(root, language), language, max_frames)


def corpus_name(name: str, folder: Path) -> str:
    """Return the name for provenance of the corpus in a folder: it says so if it was built from the samples."""
    return f"samples {name}" if in_built_samples(folder) else name


def must_c(language: str) -> str:
    """Return the name of MuST-C with translations into a language."""
    return f"must_c en-{language}"


def write_table(file: Path, segments: list[Segment]) -> None:
    """Write the segments, one per line, whole or not at all; audio in the table's folder is named relative to it."""
    with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        table.writerow(COLUMNS)
        folder = file.parent.absolute()
        for s in segments:
            audio = s.audio.absolute()
            audio = audio.relative_to(folder) if audio.is_relative_to(folder) else audio
            # A tab would end the column.
            texts = (" ".join(text.replace("\r", "\t").split("\t")) for text in (s.speaker, s.source, s.target))
            table.writerow((s.id, audio, s.start, s.samples, s.flac_bytes, *texts))


def read_table(file: Path) -> list[Segment]:
    """Read the segments of a table.

    Raises:
        InputError: there is no such file, or a line does not fit.
    """
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; prepare the corpus again") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 at byte {error.start}") from None
    header, *lines = text.removesuffix("\n").split("\n")  # a csv reader would also end lines at U+2028
    if tuple(header.split("\t")) != COLUMNS:
        raise InputError(f"{file}: is not a table of segments: its first line should name {', '.join(COLUMNS)}")
    segments: list[Segment] = []
    files: dict[str, Path] = {}  # thousands of segments share the path of a talk
    for number, line in enumerate(lines, start=2):
        try:
            name, audio_name, start, samples, flac_bytes, speaker, source, target = line.split("\t")
            audio = files.setdefault(audio_name, file.parent / audio_name)
            segments.append(Segment(name, audio, int(start), int(samples), source, target, speaker, int(flac_bytes)))
        except ValueError:
            raise InputError(f"{file}, line {number}: does not fit; prepare the corpus again") from None
    return segments
