"""Write Fluent Speech Commands from the synthetic commands, voices apart, and a second test of unseen phrases."""

import csv
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from mmpt.scripts.samples import split
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.texts import unseen_phrases
from mmpt.scripts.samples.workers import Workers

ROOT = "fluent_speech_commands_dataset"
UNSEEN_ROOT = f"unseen_phrases/{ROOT}"
TABLES = {"train": "train_data.csv", "dev": "valid_data.csv", "test": "test_data.csv"}
# The published tables begin with an unnamed index column.
COLUMNS = ("", "path", "speakerId", "transcription", "action", "object", "location")
Row = tuple[str, Recording, tuple[str, str, str]]  # path of the sound, recording, three slots


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write the sounds once, the tables of the main corpus, and those of the second test.

    The second root has the same training and dev tables, so that a head of the first can be tested on it; its sounds
    are those of the first. Of the unseen phrases, only those of test voices have been left (drop_repeated_texts).
    """
    clips = [recording for recording in recordings if recording.kind == "intent"]
    unseen = unseen_phrases(clips)
    seen = [clip for clip in clips if clip.text not in unseen]
    tested = [clip for clip in clips if clip.text in unseen]
    workers.run("Fluent Speech Commands (wav)", partial(write_wav, root / ROOT, store), clips)
    for name, table in TABLES.items():
        main = [clip for clip in seen if clip.split == name]
        write_table(root / ROOT / "data" / table, ((wav_path(clip), clip, clip.intent) for clip in main))
        second = tested if name == "test" else main
        rows = ((f"../../{ROOT}/{wav_path(clip)}", clip, clip.intent) for clip in second)
        write_table(root / UNSEEN_ROOT / "data" / table, rows)
    return [BuiltFile(ROOT, clip.split, f"{ROOT}/{wav_path(clip)}", (clip.source,)) for clip in clips]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    clips = [recording for recording in recordings if recording.kind == "intent"]
    unseen = unseen_phrases(clips)
    counts = "; ".join(
        f"{name} {sum(c.split == name and c.text not in unseen for c in clips):,} clips of "
        f"{len({c.speaker for c in clips if c.split == name})} voices"
        for name in split.SPLITS
    )
    second = sum(clip.text in unseen for clip in clips)
    return f"""\
- `{ROOT}/`: **synthetic voices** say commands of {len({c.intent for c in clips})} intents (action, object, location),
  voices apart: {counts}.
  One synthesiser made them all: figures tell how well a task can be learned, not how it would go with people.
  `{UNSEEN_ROOT}/` (`--data-root unseen_phrases`) has the same training and
  dev tables. Its test ({second} clips) holds one phrase of each intent that has two or more: {len(unseen)} phrases,
  which nobody says in any stage's training."""


def wav_path(clip: Recording) -> str:
    """Return the path of a clip as the tables name it."""
    return f"wavs/speakers/{clip.speaker}/{clip.clip}.wav"


def write_wav(corpus: Path, store: Store, clip: Recording) -> None:
    """Write the sound of one clip."""
    write_sound(corpus / wav_path(clip), store.load(clip.source))


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write the table of one split."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for index, (sound, clip, slots) in enumerate(rows):
            writer.writerow((index, sound, clip.speaker, clip.text, *slots))
