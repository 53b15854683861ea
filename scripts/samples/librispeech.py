"""Write LibriSpeech as published: FLAC and transcripts by reader and chapter; and what S3PRL's ASR and PR add to it.

Training has Modified Rhyme Test clips: each word of the lists, by one of the two training speakers. Dev and test have
none, because the same carrier sentence in 1,200 clips would make word error rates look small.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmpt.scripts.prepare.librispeech_lengths import write_lengths
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.words import read_lexicon, to_words
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

ROOT = "LibriSpeech"
LEXICON = f"{ROOT}/lexicon/samples-lexicon.txt"
LENGTHS = f"{ROOT}/len_for_bucket"

# (kind of recording, split) → folder. Prompts are the clean half; readers, whose channels differ, the other half.
FOLDERS = {
    ("prompt", "train"): "train-clean-100",
    ("reader", "train"): "train-clean-100",
    ("mrt", "train"): "train-clean-100",
    ("prompt", "dev"): "dev-clean",
    ("prompt", "test"): "test-clean",
    ("reader", "dev"): "dev-other",
    ("reader", "test"): "test-other",
}


@dataclass(frozen=True)
class Utterance:
    """One FLAC: READER-CHAPTER-NUMBER.flac in LibriSpeech/FOLDER/READER/CHAPTER/."""

    recording: Recording
    folder: str
    reader: int
    chapter: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.reader}-{self.chapter}-{self.number:04d}"

    @property
    def place(self) -> str:
        """Its folder in the built folder."""
        return f"{ROOT}/{self.folder}/{self.reader}/{self.chapter}"


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write the utterances, transcripts, SPEAKERS.TXT, length tables and the lexicon."""
    utterances = plan_utterances(recordings)
    workers.run("LibriSpeech (flac)", partial(write_flac, root, store), utterances)
    write_transcripts(root, utterances)
    write_speakers(root, utterances, store)
    write_lengths(root / ROOT, root / LENGTHS, jobs=workers.jobs)
    write_lexicon(root, utterances, read_lexicon(store.samples))
    return [
        BuiltFile(ROOT, item.recording.split, f"{item.place}/{item.name}.flac", (item.recording.source,))
        for item in utterances
    ]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    return f"""\
- `{ROOT}/`: train-clean-100 holds prompts, readers and half of the MRT clips (F1 odd lists, M3 even) of training;
  dev-clean and test-clean are prompts, dev-other and test-other readers. Dev and test hold no MRT, whose carrier
  sentence repeats. SPEAKERS.TXT maps readers to the names used in samples/. `len_for_bucket/` is for S3PRL's ASR,
  `lexicon/` for its phone recognition."""


def plan_utterances(recordings: list[Recording]) -> list[Utterance]:
    """Number the readers from 1, by name; a chapter is one reader's recordings of one kind in one folder."""
    english = [
        item
        for item in recordings
        if item.language == "en" and (item.kind, item.split) in FOLDERS and not is_second_take(item)
    ]
    readers = {name: number for number, name in enumerate(sorted({item.speaker for item in english}), start=1)}
    chapters: dict[tuple, int] = {}
    sizes: dict[int, int] = {}
    utterances = []
    for item in english:
        folder = FOLDERS[item.kind, item.split]
        # 101, 102 …, so that no chapter has a reader's number.
        chapter = chapters.setdefault((folder, item.speaker, item.kind), 101 + len(chapters))
        number = sizes.get(chapter, 0)
        sizes[chapter] = number + 1
        utterances.append(Utterance(item, folder, readers[item.speaker], chapter, number))
    return utterances


def is_second_take(item: Recording) -> bool:
    """Return True if an MRT clip is left to the other training speaker: F1 reads the odd lists, M3 the even ones.

    With both, three quarters of the training utterances would begin with the same four words.
    """
    return item.kind == "mrt" and (int(item.clip.split("_b")[1][:2]) % 2 == 1) != (item.speaker == "F1")


def write_flac(root: Path, store: Store, utterance: Utterance) -> None:
    """Write the sound of one utterance."""
    path = root / utterance.place / f"{utterance.name}.flac"
    write_sound(path, store.load(utterance.recording.source))


def write_transcripts(root: Path, utterances: list[Utterance]) -> None:
    """Write READER-CHAPTER.trans.txt into each chapter."""
    lines: dict[Path, list[str]] = {}
    for item in utterances:
        path = root / item.place / f"{item.reader}-{item.chapter}.trans.txt"
        lines.setdefault(path, []).append(f"{item.name} {to_words(item.recording.text)}\n")
    for path, transcript in lines.items():
        path.write_text("".join(transcript), encoding="utf-8")


def write_speakers(root: Path, utterances: list[Utterance], store: Store) -> None:
    """Write SPEAKERS.TXT: the published columns, one line per reader and folder, NAME as in samples/."""
    samples: dict[tuple, int] = {}
    sexes: dict[str, str] = {}
    for item in utterances:
        key = (item.reader, item.folder, item.recording.speaker)
        samples[key] = samples.get(key, 0) + len(store.load(item.recording.source))
        sexes.setdefault(item.recording.speaker, item.recording.sex)
    lines = [
        "; Readers of the sample LibriSpeech. NAME is the speaker's label in samples/, an unproven identity.",
        "; SEX is - where the source does not say it.",
        ";ID  |SEX| SUBSET           |MINUTES| NAME",
    ]
    for (reader, folder, speaker), length in sorted(samples.items()):
        lines.append(f"{reader:<5}| {sexes[speaker]} | {folder:<17}| {length / SAMPLE_RATE / 60:<6.2f}| {speaker}")
    (root / ROOT / "SPEAKERS.TXT").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_lexicon(root: Path, utterances: list[Utterance], lexicon: dict[str, str]) -> None:
    """Write WORD, tab, phones for every word of the transcripts.

    Raises:
        InputError: some words have no phones; the error names them.
    """
    words = sorted({word for item in utterances for word in to_words(item.recording.text).split()})
    missing = [word for word in words if word not in lexicon]
    if missing:
        raise InputError(f"lexicon.txt: no phones for {', '.join(missing)}; add them to samples/lexicon_extra.txt")
    path = root / LEXICON
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{word}\t{lexicon[word]}\n" for word in words), encoding="utf-8")
