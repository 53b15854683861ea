"""Whether predictions are whole and well-formed: stricter than the leaderboard's server, which drops or passes over in silence.

Each function returns what is wrong, one line each; an empty list is a good file.
"""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np

from mmpt.superb.scoring.files import decode, read_h5, read_shift
from mmpt.upstream.errors import InputError

import pylibmagic  # noqa: F401  # isort: skip  (brings libmagic, which python-magic looks for when imported)
import magic  # isort: skip

SAMPLE_RATE = 16000
SHOWN = 3  # of many like things
TYPES = {"ic": ("text/plain", "text/csv", "application/csv")}  # of other tasks text/plain alone
ENCODINGS = ("us-ascii", "utf-8")


def check_type(task: str, name: str, content: bytes) -> list[str]:
    """What libmagic takes the file for, as the server asks it."""
    if not content:
        return [f"{name}: is empty"]
    wanted, found = TYPES.get(task, ("text/plain",)), magic.from_buffer(content, mime=True)
    encoding = magic.Magic(mime_encoding=True).from_buffer(content)
    wrong = (
        []
        if found in wanted
        else [f"{name}: libmagic calls it {found}, and the server takes {' or '.join(wanted)} alone"]
    )
    return wrong if encoding in ENCODINGS else [*wrong, f"{name}: is {encoding} text, not UTF-8"]


def check_table(task: str, name: str, content: bytes, ids: Collection[str], labels: list[set[str]] | None) -> list[str]:
    """Type, ids and labels of a table of KS, IC, PR or ASR.

    Args:
        ids: expected, each once.
        labels: KS: one set, the classes. IC: three sets, of action, object and location. PR: one set, the phones. ASR: one set, the letters.
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
    """Missing, unknown and repeated ids."""
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
    """SD's files: names, probabilities, frames.

    Args:
        files: file name → content. shift: of the file frame_shift. seconds: recording → duration. chunk: frames that were predicted at once:
            the last chunk of a long recording comes padded to this length.
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
                wrong.append(
                    f"sd: {name}: {len(likely)} frames of {samples} samples, but {seconds[recording]:.2f} s are {least}"
                )
    return wrong


def _strange(task: str, value: str, labels: list[set[str]] | None) -> list[str]:
    """What of a prediction is in no inventory."""
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
    """One line for any number of like things, of which the first few are named."""
    items = list(items)
    if not items:
        return []
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return [f"{name}: {len(items):,} {what}: {', '.join(items[:SHOWN])}{more}"]
