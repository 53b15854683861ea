"""Who speaks in a test item, as the published corpora name their files.

An item whose name does not follow its corpus stands alone: its own name is its cluster.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from mmpt.superb.data_checks.sd import read_kaldi
from mmpt.upstream.errors import InputError

LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")  # speaker, chapter, utterance
# S3PRL's CLASS-FILE. FILE is a speaker and which take of the word it is; the corpus's test set puts the word before a
# speaker's eight digits in files of other words.
SPEECH_COMMANDS = re.compile(r"[^-]*-(?:[a-z]+_(?=[0-9a-f]{8}_nohash_))?(.+)_nohash_\d+\.wav")
SILENCE = "_silence_"  # a clip of it is named after a recording that nobody speaks in


def of_librispeech(utterances: Sequence[str]) -> list[str]:
    """Return the reader of each utterance, for PR and ASR."""
    return [_reader(utterance) for utterance in utterances]


def of_speech_commands(clips: Sequence[str]) -> list[str]:
    """Return the speaker of each KS clip."""
    matches = [None if clip.startswith(SILENCE) else SPEECH_COMMANDS.fullmatch(clip) for clip in clips]
    return [match.group(1) if match else clip for match, clip in zip(matches, clips)]


def of_fluent_commands(clips: Sequence[str], config: dict, split: str) -> list[str]:
    """Return the speaker of each IC clip, from the corpus's table.

    Args:
        clips: names of files without folder and ending.
        config: S3PRL's, with the corpus's folder.
        split: whose table is read.

    Raises:
        InputError: the table is missing.
    """
    table = Path(config["downstream_expert"]["datarc"]["file_path"], "data", f"{split}_data.csv")
    if not table.is_file():
        raise InputError(f"{table}: not there, and only it says who speaks")
    speakers: dict[str, set[str]] = {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            speakers.setdefault(Path(row.get("path") or "").stem, set()).add(row.get("speakerId") or "")
    known = {clip: next(iter(names)) for clip, names in speakers.items() if len(names) == 1}
    return [known.get(clip) or clip for clip in clips]


def of_mixtures(recordings: Sequence[str], config: dict) -> list[str]:
    """Return the speakers of each SD recording, joined by "+", from Kaldi's tables, which S3PRL trains with.

    Args:
        recordings: their names.
        config: S3PRL's, with the folder of the test.

    Raises:
        InputError: tables are missing or malformed.
    """
    folder = Path(config["downstream_expert"]["loaderrc"]["test_dir"])
    try:
        tables = read_kaldi(folder)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not there, and only it says who speaks") from None
    except ValueError as error:
        raise InputError(f"{folder}: {error}") from None
    speakers: dict[str, set[str]] = {}
    for utterance, recording, _, _ in tables.segments:
        if utterance not in tables.speaker_of:
            raise InputError(f"{folder / 'utt2spk'}: {utterance} of segments is not listed")
        name = _reader(tables.speaker_of[utterance]).replace("+", "-")  # "+" joins two speakers
        speakers.setdefault(recording, set()).add(name)
    return ["+".join(sorted(speakers.get(name, {name}))) for name in recordings]


def _reader(name: str) -> str:
    """Return LibriSpeech's number of a reader. LibriMix may name speakers by their utterances, too."""
    match = LIBRISPEECH.fullmatch(name)
    return match.group(1) if match else name
