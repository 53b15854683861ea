"""Write Fluent Speech Commands from the Modified Rhyme Test: its three slots are a word's onset, vowel and coda."""

import csv
from functools import partial
from pathlib import Path

from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.words import onset_vowel_coda
from mmpt.scripts.samples.workers import Workers

ROOT = "fluent_speech_commands_dataset"
TABLES = {"train": "train_data.csv", "dev": "valid_data.csv", "test": "test_data.csv"}
# The published tables begin with an unnamed index column.
COLUMNS = ("", "path", "speakerId", "transcription", "action", "object", "location")


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write every MRT clip, whole (carrier sentence and word), and the three tables."""
    clips = [recording for recording in recordings if recording.kind == "mrt"]
    workers.run("Fluent Speech Commands (wav)", partial(write_wav, root, store), clips)
    for name, table in TABLES.items():
        write_table(root / ROOT / "data" / table, [clip for clip in clips if clip.split == name])
    return [BuiltFile(ROOT, clip.split, f"{ROOT}/{wav_path(clip)}", (clip.source,)) for clip in clips]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    return f"""\
- `{ROOT}/`: all MRT clips; action, object and location are onset, vowel and coda of the word ("none" for a word without
  onset or coda). The 274 words are the same in training and test, the speakers are not."""


def wav_path(clip: Recording) -> str:
    """Return the path of a clip as the tables name it."""
    return f"wavs/speakers/{clip.speaker}/{clip.clip}.wav"


def write_wav(root: Path, store: Store, clip: Recording) -> None:
    """Write the sound of one clip."""
    write_sound(root / ROOT / wav_path(clip), store.load(clip.source))


def write_table(path: Path, clips: list[Recording]) -> None:
    """Write the table of one split."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for index, clip in enumerate(clips):
            writer.writerow((index, wav_path(clip), clip.speaker, clip.text, *onset_vowel_coda(clip.arpabet)))
