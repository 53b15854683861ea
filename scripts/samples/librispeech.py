"""Write LibriSpeech as published: FLAC and transcripts by reader and chapter; and what S3PRL's ASR and PR add to it.

Training has Modified Rhyme Test clips: each word of the lists, by one of the two training speakers. Dev and test have
none, because the same carrier sentence in 1,200 clips would make word error rates look small.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmpt.scripts.prepare.librispeech_lengths import write_lengths
from mmpt.scripts.samples.librispeech_folders import FOLDERS, MOST_OF_A_ROLE, TRAIN, TRAIN_OTHER, Chosen, choose
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.words import read_lexicon, to_words
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

ROOT = "LibriSpeech"
LEXICON = f"{ROOT}/lexicon/samples-lexicon.txt"
LENGTHS = f"{ROOT}/len_for_bucket"
LEFT_OUT = "left-out.tsv"


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
    lexicon = read_lexicon(store.samples)
    chosen = choose(recordings, lexicon, lambda source: len(store.load(source)))
    utterances = plan_utterances(chosen)
    workers.run("LibriSpeech (flac)", partial(write_flac, root, store), utterances)
    write_transcripts(root, utterances)
    write_speakers(root, utterances, store)
    write_lengths(root / ROOT, root / LENGTHS, jobs=workers.jobs)
    write_lexicon(root, utterances, lexicon)
    write_left_out(root, chosen)
    return [
        BuiltFile(ROOT, item.recording.split, f"{item.place}/{item.name}.flac", (item.recording.source,))
        for item in utterances
    ]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    return f"""\
- `{ROOT}/`: the lines of the games in English, prompts, readers, and half of the training speakers' MRT clips (F1 reads
  the odd lists, M3 the even ones). A role is a reader; SPEAKERS.TXT maps readers to the names used in samples/. Roles,
  not persons, are unseen: an actor may have spoken several. Roles of bass are clusters of voices.
  - `{TRAIN}`: training lines all of whose words are in the lexicon, for ASR and PR.
  - `{TRAIN_OTHER}`: training lines with other words, for ASR if a configuration names it. PR leaves them out.
  - `dev-clean`, `test-clean`: roles of queen that train nothing, words of the lexicon alone, at most
    {MOST_OF_A_ROLE["dev-clean"]} and {MOST_OF_A_ROLE["test-clean"]} lines a role.
  - `dev-other`, `test-other`: lines of the same roles with words outside the lexicon; readers (few lines); prompts
    (their speaker trains, too); queen's cutscenes, whose speakers are not told (dev); drascula's other roles (test),
    **whose texts are not verbatim**: its error rates are too high. At most {MOST_OF_A_ROLE["test-other"]} lines a role.

  The lexicon is CMUdict's, without pronunciations made for the games: names and British spellings are missing, and a
  word with several pronunciations has the first. `{LEFT_OUT}` counts what is in no folder, and why. Training has no
  line that ASR's loss cannot align at 40 ms a state. `len_for_bucket/` is for S3PRL's ASR.

{folder_table(root)}
"""


def folder_table(root: Path) -> str:
    """Return a Markdown table of the built folders: utterances, words, minutes and readers."""
    lines = ["| LibriSpeech | utterances | words | minutes | readers |", "|---|---|---|---|---|"]
    minutes: dict[str, float] = {}
    for row in (root / ROOT / "SPEAKERS.TXT").read_text(encoding="utf-8").splitlines():
        if not row.startswith(";"):
            _, _, name, length, _ = row.split("|")
            minutes[name.strip()] = minutes.get(name.strip(), 0) + float(length)
    for name in FOLDERS:
        texts = [
            line.split()[1:]
            for path in (root / ROOT / name).rglob("*.trans.txt")
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        readers = sum(path.is_dir() for path in (root / ROOT / name).glob("*"))
        words = sum(map(len, texts))
        lines.append(f"| {name} | {len(texts):,} | {words:,} | {minutes.get(name, 0):.1f} | {readers} |")
    return "\n".join(lines)


def plan_utterances(chosen: Chosen) -> list[Utterance]:
    """Number the readers from 1; a chapter is one reader's recordings of one kind in one folder.

    Training comes last: names in dev and test are the same in small and full builds.
    """
    readers: dict[str, int] = {}
    chapters: dict[tuple, int] = {}
    utterances = []
    for folder in sorted(FOLDERS, key=lambda name: name in (TRAIN, TRAIN_OTHER)):
        sizes: dict[int, int] = {}
        for item in chosen.folders[folder]:
            reader = readers.setdefault(item.speaker, 1 + len(readers))
            # 1001, 1002 …, so that no chapter has a reader's number.
            chapter = chapters.setdefault((folder, item.speaker, item.kind), 1001 + len(chapters))
            number = sizes.get(chapter, 0)
            sizes[chapter] = number + 1
            utterances.append(Utterance(item, folder, reader, chapter, number))
    return utterances


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


def write_left_out(root: Path, chosen: Chosen) -> None:
    """Write how many English recordings are in no folder, by reason."""
    rows = sorted(f"{clips}\t{reason}\n" for reason, clips in chosen.left_out.items() if clips)
    (root / ROOT / LEFT_OUT).write_text("clips\treason\n" + "".join(rows), encoding="utf-8")


def write_lexicon(root: Path, utterances: list[Utterance], lexicon: dict[str, str]) -> None:
    """Write WORD, tab, phones for each word of the transcripts that the lexicon has: all words of the clean folders."""
    words = sorted({word for item in utterances for word in to_words(item.recording.text).split()} & lexicon.keys())
    path = root / LEXICON
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{word}\t{lexicon[word]}\n" for word in words), encoding="utf-8")
