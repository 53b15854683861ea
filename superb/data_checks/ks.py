"""Speech Commands for KS. S3PRL resamples, mixes down, splits by a hash of the speaker and drops part batches."""

import hashlib
import re
from collections import Counter
from pathlib import Path

from mmpt.superb.data_checks.findings import ERROR, WARNING, Finding, several
from mmpt.superb.data_checks.published import COMMANDS, KS_CLASSES, check_counts
from mmpt.superb.data_checks.recordings import check_readable, read_headers
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE


def check(config: dict, hop: int | None) -> list[Finding]:
    """Check classes, noises, recordings, batch size and the speakers of dev."""
    del hop
    data = config["downstream_expert"]["datarc"]
    train_root, test_root = Path(data["speech_commands_root"]), Path(data["speech_commands_test_root"])
    folders = [folder for folder in _folders(train_root) if folder.name != "_background_noise_"]
    train = [file for folder in folders for file in sorted(folder.glob("*.wav"))]
    noises = sorted((train_root / "_background_noise_").glob("*.wav"))
    test = [file for folder in _folders(test_root) for file in sorted(folder.glob("*.wav"))]
    return [
        *_check_classes(train, test, train_root, test_root),
        *_check_recordings(train, noises, test, train_root),
        *_check_splits(train, noises, train_root, data["batch_size"]),
        *check_counts("ks", {"ks train": len(train) + len(noises), "ks test": len(test)}),
    ]


def ks_split(name: str) -> str:
    """Return the split to which S3PRL gives a training recording: train, dev or none.

    Source: s3prl/downstream/speech_commands/expert.py:152; the rule is that of the corpus's README.
    """
    speaker = re.sub(r"_nohash_.*$", "", name)
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27
    percent = number * 100 / (2**27 - 1)
    return "dev" if percent < 10 else "none" if percent < 20 else "train"


def _check_classes(train: list[Path], test: list[Path], train_root: Path, test_root: Path) -> list[Finding]:
    found = []
    for missing in sorted(set(COMMANDS) - {file.parent.name for file in train}):
        found.append(Finding(ERROR, "ks", f"{train_root}: no recordings of the command '{missing}'"))
    for name in sorted({folder.name for folder in _folders(test_root)} - KS_CLASSES):
        found.append(Finding(ERROR, "ks", f"{test_root / name}: is none of the twelve classes, and S3PRL stops at it"))
    for name in sorted(KS_CLASSES - {file.parent.name for file in test}):
        found.append(Finding(WARNING, "ks", f"{test_root}: no test recordings of the class {name}"))
    return found


def _check_recordings(train: list[Path], noises: list[Path], test: list[Path], train_root: Path) -> list[Finding]:
    found = []
    if not noises:
        folder = train_root / "_background_noise_"
        found.append(Finding(ERROR, "ks", f"{folder}: no noises, from which the class _silence_ is cut"))
    headers = read_headers([*train, *noises, *test], "headers of ks")
    found += check_readable("ks", headers)
    known = {file: header for file, header in headers.items() if header.samples is not None}
    short = [file for file in noises if file in known and (known[file].samples or 0) < known[file].rate]
    found += several(ERROR, "ks", short, "noises under 1 s, from which S3PRL cannot cut a second")
    other = [file for file, header in known.items() if header.rate != SAMPLE_RATE or header.channels != 1]
    return found + several(WARNING, "ks", other, "recordings that are not 16 kHz and mono (S3PRL converts them here)")


def _check_splits(train: list[Path], noises: list[Path], train_root: Path, batch_size: int) -> list[Finding]:
    found, share = [], Counter(ks_split(file.name) for file in train)
    items = share["train"] + len(noises)
    if items < batch_size:
        text = f"{items} training items are fewer than a batch of {batch_size}: S3PRL would wait for ever"
        found.append(Finding(ERROR, "ks", text))
    if share["dev"] == 0:
        text = "no speaker falls into dev (by S3PRL's hash of what stands before _nohash_): no best checkpoint"
        found.append(Finding(ERROR, "ks", f"{train_root}: {text}"))
    return found


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.iterdir() if folder.is_dir())
