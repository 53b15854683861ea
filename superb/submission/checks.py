"""Check that predictions are complete and well-formed, which the leaderboard's server does not tell.

Each function returns what is wrong, one line each; an empty list is a good file.
"""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np

from mmpt.superb.data_checks.findings import count_and_name
from mmpt.superb.scoring.files import decode, read_h5, read_shift
from mmpt.superb.submission.libmagic import type_and_encoding
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

TYPES = {"ic": ("text/plain", "text/csv", "application/csv")}  # of other tasks text/plain alone
ENCODINGS = ("us-ascii", "utf-8")


def check_type(task: str, name: str, content: bytes) -> list[str]:
    """Check the type that libmagic, which the server asks, gives the file."""
    if not content:
        return [f"{name}: is empty"]
    wanted = TYPES.get(task, ("text/plain",))
    found, encoding = type_and_encoding(content)
    wrong = []
    if found not in wanted:
        wrong.append(f"{name}: libmagic calls it {found}, and the server takes {' or '.join(wanted)} alone")
    if encoding not in ENCODINGS:
        wrong.append(f"{name}: is {encoding} text, not UTF-8")
    return wrong


def check_table(task: str, name: str, content: bytes, ids: Collection[str], labels: list[set[str]] | None) -> list[str]:
    """Check type, ids and labels of a table of KS, IC, PR or ASR.

    Args:
        task: by our name.
        name: of the file, for the messages.
        content: its bytes.
        ids: expected, each once.
        labels: KS: one set, the classes. IC: three sets, of action, object and location. PR: one set, the phones. ASR:
            one set, the letters.
    """
    wrong = check_type(task, name, content)
    try:
        lines = [line for line in decode(content, name).splitlines() if line.strip()]
    except InputError as error:
        return [*wrong, str(error)]
    separator = "," if task == "ic" else " "
    pairs = [(key, value.strip()) for key, _, value in (line.strip().partition(separator) for line in lines)]
    wrong += check_ids(name, [key for key, _ in pairs], ids)
    strange = Counter(item for _, value in pairs for item in _strange(task, value, labels))
    what = {
        "ks": "labels that are no class",
        "ic": "intents with a value outside the inventory",
        "pr": "phones outside the inventory",
    }
    return wrong + _several(name, strange, what.get(task, "characters outside the dictionary"))


def check_ids(name: str, found: list[str], expected: Collection[str]) -> list[str]:
    """Check for missing, unknown and repeated ids."""
    counts, known = Counter(found), set(expected)
    return [
        *_several(name, sorted(known - counts.keys()), "ids are missing"),
        *_several(name, sorted(counts.keys() - known), "ids are not in the test set (the server would drop the task)"),
        *_several(
            name,
            sorted(key for key, n in counts.items() if n > 1),
            "ids occur more than once (the server would take the last)",
        ),
    ]


def check_diarization(files: dict[str, bytes], shift: bytes | None, seconds: dict[str, float], chunk: int) -> list[str]:
    """Check SD's files: names, probabilities, number of frames.

    Args:
        files: file name → content.
        shift: content of the file frame_shift; None if it is missing.
        seconds: recording → duration.
        chunk: frames predicted at once. The last chunk of a long recording comes padded to this length.
    """
    wrong = check_ids("sd", [Path(name).stem for name in files], seconds)
    if shift is None:
        return [*wrong, "sd: frame_shift is missing (the server would take 160)"]
    try:
        samples = read_shift(shift, "sd: frame_shift")
    except InputError as error:
        return [*wrong, str(error)]
    if samples <= 0:
        return [*wrong, f"sd: frame_shift is {samples}"]
    for name, content in files.items():
        recording = Path(name).stem
        try:
            likely = read_h5(content, f"sd: {name}")
        except InputError as error:
            wrong.append(str(error))
            continue
        if likely.shape[1] != 2:
            wrong.append(f"sd: {name}: {likely.shape[1]} speakers, expected 2")
        if not np.isfinite(likely).all() or likely.size and (likely.min() < 0 or likely.max() > 1):
            wrong.append(f"sd: {name}: holds values that are no probabilities (from 0 to 1)")
        if recording in seconds:
            exact = seconds[recording] * SAMPLE_RATE / samples
            least, most = int(exact), max(int(exact) + 1, chunk * -(-int(exact) // chunk) if exact > chunk else 0)
            if not least <= len(likely) <= most:
                there = f"{len(likely)} frames of {samples} samples"
                wrong.append(f"sd: {name}: {there}, but {seconds[recording]:.2f} s are {least}")
    return wrong


def _strange(task: str, value: str, labels: list[set[str]] | None) -> list[str]:
    """Return the parts of a prediction that are in no inventory."""
    if labels is None:
        return []
    if task == "ks":
        return [] if value in labels[0] else [value or "(nothing)"]
    if task == "ic":
        parts = value.split(",")
        return [] if len(parts) == len(labels) and all(map(set.__contains__, labels, parts)) else [value or "(nothing)"]
    if task == "pr":
        return [phone for phone in value.split() if phone not in labels[0]]
    return [letter for letter in value.replace(" ", "") if letter not in labels[0]]


def _several(name: str, items: Collection[str], what: str) -> list[str]:
    """Return one line for any number of like items; none for no item."""
    text = count_and_name(items, what)
    return [f"{name}: {text}"] if text else []
