"""Write a second Fluent Speech Commands from the Modified Rhyme Test: the slots are a word's onset, vowel and coda."""

from functools import partial
from pathlib import Path

from mmpt.scripts.samples import fluent_commands
from mmpt.scripts.samples.fluent_commands import TABLES, wav_path, write_table, write_wav
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.words import onset_vowel_coda
from mmpt.scripts.samples.workers import Workers

ROOT = f"mrt/{fluent_commands.ROOT}"


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write every MRT clip, whole (carrier sentence and word), and the three tables."""
    clips = [recording for recording in recordings if recording.kind == "mrt"]
    workers.run("Fluent Speech Commands of MRT words (wav)", partial(write_wav, root / ROOT, store), clips)
    for name, table in TABLES.items():
        rows = [(wav_path(clip), clip, onset_vowel_coda(clip.arpabet)) for clip in clips if clip.split == name]
        write_table(root / ROOT / "data" / table, rows)
    return [BuiltFile(ROOT, clip.split, f"{ROOT}/{wav_path(clip)}", (clip.source,)) for clip in clips]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    return f"""\
- `{ROOT}/` (`--data-root mrt`): another, real corpus: all MRT clips. Action, object and location are onset,
  vowel and coda of the word ("none" for a word without onset or coda). The 274 words are the same in training and test,
  the speakers are not."""
