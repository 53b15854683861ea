"""Names of the speakers whom prediction files know by a number or a hash, from the corpora's own lists."""

import csv
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.experiment import newest_config

READERS = "SPEAKERS.TXT"  # of LibriSpeech: number | sex | subset | minutes | name
ALIASES = "aliases.tsv"  # of the samples' Speech Commands: alias, speaker


def speaker_names(experiment: Path, task: str) -> dict[str, str]:
    """Return speaker → "name (speaker)" for an experiment of a task; empty if no list is there.

    Args:
        experiment: S3PRL's folder, whose settings lead to the corpus.
        task: ks, pr and asr have such lists; ic and sd tell names already.
    """
    try:
        expert = newest_config(experiment).get("downstream_expert", {})
    except InputError:  # half a file
        return {}
    if task == "ks":
        folder = expert.get("datarc", {}).get("speech_commands_test_root")
        return _shown(_aliases(Path(folder, ALIASES))) if folder else {}
    folder = expert.get("datarc", {}).get("libri_root") or expert.get("corpus", {}).get("path")
    return _shown(_readers(Path(folder, READERS))) if folder else {}


def _shown(names: dict[str, str]) -> dict[str, str]:
    return {key: f"{name} ({key})" for key, name in names.items() if name and name != key}


def _readers(file: Path) -> dict[str, str]:
    columns = [line.split("|", 4) for line in _text(file).splitlines() if not line.startswith(";")]
    return {fields[0].strip(): fields[4].strip() for fields in columns if len(fields) == 5}


def _aliases(file: Path) -> dict[str, str]:
    rows = csv.DictReader(_text(file).splitlines(), delimiter="\t")
    return {row.get("alias") or "": row.get("speaker") or "" for row in rows}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
