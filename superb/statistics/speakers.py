"""Who speaks in a test item, as the published corpora name their files.

An item whose name does not follow its corpus stands alone: its own name is its cluster.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from mmpt.superb.scoring.files import read_rttm

LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")  # speaker, chapter, utterance
SPEECH_COMMANDS = re.compile(r"(?:.*[-_])?([^-_]+)_nohash_\d+\.wav")  # a speaker's hash, which take of the word
SILENCE = "_silence_"  # a clip of it is named after a recording that nobody speaks in


def of_librispeech(utterances: Sequence[str]) -> list[str]:
    """Return the reader of each utterance, for PR and ASR."""
    return [_reader(utterance) for utterance in utterances]


def of_speech_commands(clips: Sequence[str]) -> list[str]:
    """Return the speaker of each KS clip. S3PRL names a clip CLASS-FILE."""
    matches = [None if clip.startswith(SILENCE) else SPEECH_COMMANDS.fullmatch(clip) for clip in clips]
    return [match.group(1) if match else clip for match, clip in zip(matches, clips)]


def of_fluent_commands(clips: Sequence[str], config: dict, split: str) -> list[str]:
    """Return the speaker of each IC clip, from the corpus's table. `config`: S3PRL's, with the corpus's folder."""
    folder = config.get("downstream_expert", {}).get("datarc", {}).get("file_path")
    speakers: dict[str, set[str]] = {}
    if folder and (table := Path(folder, "data", f"{split}_data.csv")).is_file():
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                speakers.setdefault(Path(row.get("path") or "").stem, set()).add(row.get("speakerId") or "")
    known = {clip: next(iter(names)) for clip, names in speakers.items() if len(names) == 1}
    return [known.get(clip) or clip for clip in clips]


def of_mixtures(recordings: Sequence[str], config: dict) -> list[str]:
    """Return the speakers of each SD recording, joined by "+", from the rttm. `config`: S3PRL's, with the folder."""
    file = Path(config["downstream_expert"]["loaderrc"]["test_dir"], "rttm")
    turns = read_rttm(file.read_text(encoding="utf-8"), file) if file.is_file() else {}
    speakers = {name: {_reader(speaker) for _, _, speaker in spoken} for name, spoken in turns.items()}
    return ["+".join(sorted(speakers.get(name, {name}))) for name in recordings]


def _reader(name: str) -> str:
    """Return LibriSpeech's number of a reader. LibriMix may name speakers by their utterances, too."""
    match = LIBRISPEECH.fullmatch(name)
    return match.group(1) if match else name
