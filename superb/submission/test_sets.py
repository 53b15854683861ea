"""What a task's test predictions must cover and may say, read from the corpus that the experiment was configured with."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from mmpt.superb.data_checks import KS_CLASSES, PUBLISHED, librispeech_texts
from mmpt.upstream.errors import InputError

SLOTS = ("action", "object", "location")
PUBLISHED_TEST = {
    "ks": PUBLISHED["ks test"],
    "ic": PUBLISHED["ic test"],
    "sd": PUBLISHED["sd test"],
    "pr": PUBLISHED["test-clean"],
    "asr": PUBLISHED["test-clean"],
}


@dataclass(frozen=True)
class Expected:
    """ids: each once. labels: see checks.check_table. seconds: SD's recordings, chunk: frames that it predicts at once."""

    ids: list[str]
    labels: list[set[str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    chunk: int = 0


def expected(task: str, config: dict) -> Expected:
    """Reads the test set of one of the five tasks.

    Args:
        config: S3PRL's, with the real paths.

    Raises:
        InputError: the corpus is no longer where the experiment read it.
    """
    try:
        found = {"ks": _ks, "ic": _ic, "pr": _pr, "asr": _asr, "sd": _sd}[task](config["downstream_expert"])
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{task}: the test set that the experiment was scored on cannot be read again: {error}"
        ) from None
    if not found.ids:
        raise InputError(f"{task}: the test set that the experiment was scored on is no longer there")
    return found


def _ks(expert: dict) -> Expected:
    files = Path(expert["datarc"]["speech_commands_test_root"]).glob("*/*.wav")
    return Expected(sorted(f"{file.parent.name}-{file.name}" for file in files), [KS_CLASSES])


def _ic(expert: dict) -> Expected:
    tables = Path(expert["datarc"]["file_path"], "data")
    train, test = (
        list(csv.DictReader((tables / f"{split}_data.csv").open(encoding="utf-8", newline="")))
        for split in ("train", "test")
    )
    return Expected([Path(row["path"]).stem for row in test], [{row[slot] for row in train} for slot in SLOTS])


def _pr(expert: dict) -> Expected:
    phones = set(Path(expert["text"]["vocab_file"]).read_text(encoding="utf-8").split())
    return Expected(_utterances("pr", expert["corpus"]["path"], expert["corpus"]["test"]), [phones])


def _asr(expert: dict) -> Expected:
    lines = Path(expert["datarc"]["dict_path"]).read_text(encoding="utf-8").splitlines()
    letters = {line.split()[0] for line in lines if line.strip()} - {"|"}
    return Expected(_utterances("asr", expert["datarc"]["libri_root"], expert["datarc"]["test-clean"]), [letters])


def _sd(expert: dict) -> Expected:
    lines = Path(expert["loaderrc"]["test_dir"], "reco2dur").read_text(encoding="utf-8").splitlines()
    seconds = {name: float(text) for name, text in map(str.split, filter(str.strip, lines))}
    return Expected(sorted(seconds), seconds=seconds, chunk=expert["datarc"]["chunk_size"])


def _utterances(task: str, root: str, splits: list[str]) -> list[str]:
    return sorted(file.stem for split in splits for file, _ in librispeech_texts(task, Path(root) / split)[0])
