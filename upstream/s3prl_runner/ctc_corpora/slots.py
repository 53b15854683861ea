"""Audio SNIPS as characters and slot marks: the data class for S3PRL's slot filling (`-d sf`).

The layout is that of S3PRL's preprocessed archive: `train`, `valid` and `test` hold `SPEAKER-snips-SPLIT-NUMBER.wav`,
and a line of `all.iob.snips.txt` holds a recording's name, its words between BOS and EOS, a tab, and a slot for each
word.
"""

from __future__ import annotations

from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.ctc_corpora.windows import WindowedDataset

TRANSCRIPTS = "all.iob.snips.txt"


class SnipsDataset(WindowedDataset):
    """Recordings with their characters and slots as ids.

    Args:
        splits: one folder of `path`, as in `["train"]`.
        tokenizer: S3PRL's text encoder of characters and slots.
        bucket_size: utterances in an item; 1 gives single pairs (evaluation, or no bucketing).
        path: the folder SNIPS.
        ascending: shortest sequence first; S3PRL's order is longest first.
        settings: `SPLIT_speakers` lists the speakers of a split; others are left out.

    Raises:
        InputError: a file or folder is missing, a line has no slots, or a split has no recording of its speakers.
    """

    def __init__(self, splits, tokenizer, bucket_size, path, ascending=False, **settings):
        transcripts = read_transcripts(Path(path) / TRANSCRIPTS)
        items = []
        for split in splits:
            speakers = settings[f"{split}_speakers"]
            for recording in _recordings(Path(path) / split, speakers, transcripts):
                items.append((str(recording), _encode(tokenizer, transcripts[recording.stem], recording)))
        super().__init__(items, bucket_size, ascending)


def read_transcripts(file: Path) -> dict[str, str]:
    """Return recording → its line without the name."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8 text'})") from error
    transcripts = {}
    for number, line in enumerate(lines, 1):
        name, _, text = line.strip().partition(" ")
        if "\t" not in text:
            raise InputError(f"{file}: line {number}: expected 'NAME BOS WORD ... EOS', a tab and slots")
        transcripts[name] = text
    return transcripts


def _encode(tokenizer, text: str, recording: Path) -> list[int]:
    try:
        return tokenizer.encode(text)
    except KeyError as error:
        raise InputError(f"{TRANSCRIPTS}: slot {error} of {recording.stem} is not in slots.txt") from error


def _recordings(folder: Path, speakers: list[str], transcripts: dict[str, str]) -> list[Path]:
    """Return the recordings of a split that have a transcript and one of the speakers."""
    found = sorted(folder.rglob("*.wav"))
    if not found:
        raise InputError(f"{folder}: no .wav file here; expected SNIPS as S3PRL's preprocessing leaves it")
    kept = [file for file in found if file.stem in transcripts and file.stem.split("-")[0] in speakers]
    if not kept:
        raise InputError(f"{folder}: no recording of {', '.join(speakers)} has a line in {TRANSCRIPTS}")
    return kept
