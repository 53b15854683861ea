"""Read the test set that an experiment was configured with: ids to cover, and labels that predictions may have."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from mmpt.superb.data_checks.ic import SLOTS
from mmpt.superb.data_checks.librispeech import librispeech_texts
from mmpt.superb.data_checks.published import KS_CLASSES
from mmpt.upstream.errors import InputError


@dataclass(frozen=True)
class TestSet:
    """What predictions must cover.

    Args:
        ids: each once.
        labels: see checks.check_table.
        seconds: SD's recording → duration.
        chunk: frames that SD predicts at once.
    """

    ids: list[str]
    labels: list[set[str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    chunk: int = 0


def read_test_set(task: str, config: dict) -> TestSet:
    """Read the test set of one of the five tasks.

    Args:
        task: by our name.
        config: S3PRL's, with the real paths.

    Raises:
        InputError: the corpus is no longer where the experiment read it.
    """
    try:
        found = {"ks": _ks, "ic": _ic, "pr": _pr, "asr": _asr, "sd": _sd}[task](config["downstream_expert"])
    except (OSError, KeyError, ValueError) as error:
        what = "the test set that the experiment was scored on cannot be read again"
        raise InputError(f"{task}: {what}: {error}") from None
    if not found.ids:
        raise InputError(f"{task}: the test set that the experiment was scored on is no longer there")
    return found


def _ks(expert: dict) -> TestSet:
    files = Path(expert["datarc"]["speech_commands_test_root"]).glob("*/*.wav")
    return TestSet(sorted(f"{file.parent.name}-{file.name}" for file in files), [KS_CLASSES])


def _ic(expert: dict) -> TestSet:
    tables = Path(expert["datarc"]["file_path"], "data")
    train, test = (
        list(csv.DictReader((tables / f"{split}_data.csv").open(encoding="utf-8", newline="")))
        for split in ("train", "test")
    )
    return TestSet([Path(row["path"]).stem for row in test], [{row[slot] for row in train} for slot in SLOTS])


def _pr(expert: dict) -> TestSet:
    phones = set(Path(expert["text"]["vocab_file"]).read_text(encoding="utf-8").split())
    return TestSet(_utterances("pr", expert["corpus"]["path"], expert["corpus"]["test"]), [phones])


def _asr(expert: dict) -> TestSet:
    lines = Path(expert["datarc"]["dict_path"]).read_text(encoding="utf-8").splitlines()
    letters = {line.split()[0] for line in lines if line.strip()} - {"|"}
    return TestSet(_utterances("asr", expert["datarc"]["libri_root"], expert["datarc"]["test-clean"]), [letters])


def _sd(expert: dict) -> TestSet:
    lines = Path(expert["loaderrc"]["test_dir"], "reco2dur").read_text(encoding="utf-8").splitlines()
    seconds = {name: float(text) for name, text in map(str.split, filter(str.strip, lines))}
    return TestSet(sorted(seconds), seconds=seconds, chunk=expert["datarc"]["chunk_size"])


def _utterances(task: str, root: str, splits: list[str]) -> list[str]:
    return sorted(file.stem for split in splits for file, _ in librispeech_texts(task, Path(root) / split)[0])
