"""Fast reader of MuST-C's YAML lists of segments: 230,000 entries in seconds, where a YAML reader takes half a minute.

Each entry begins at the start of a line, and almost every entry is a mapping of plain words and numbers. One regular
expression reads those. Several processes read the others in pieces with the YAML reader. A text that cannot be cut into
entries is read by the YAML reader as a whole.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?"
NAME = r"\w[\w-]*\.[\w.-]*"  # ted_1.wav, spk.1: the full stop excludes words such as yes and null
QUOTED = r"'[^'\\\n]*'|\"[^\"\\\n]*\""
PAIR = rf"[A-Za-z_]+: (?:{NUMBER}|{NAME}|{QUOTED})"
FLOW = re.compile(rf"- \{{{PAIR}(?:, {PAIR})*\}}\s*")  # - {duration: 1.5, offset: 3.25, wav: ted_1.wav}
BLOCK = re.compile(rf"- {PAIR}\s*(?:\n  {PAIR}\s*)*")  # - duration: 1.5 and so on, one pair a line
PAIRS = re.compile(rf"([A-Za-z_]+): (?:({QUOTED})|({NUMBER}|{NAME}))")
PIECE = 5000  # entries that the YAML reader gets at a time


def parse_segment_list(text: str) -> list[dict]:
    """Return the mappings of a YAML list; numbers may come as strings.

    Raises:
        yaml.YAMLError: the text is not YAML.
        ValueError: the text is not a list of mappings.
    """
    try:
        return parse_pieces(entries_of(text))
    except ValueError:  # cannot be cut, or is wrong: the YAML reader finds out which
        return mappings(load(text))


def entries_of(text: str) -> list[str]:
    """Return the text of each entry, which lasts from a line that begins with "- " to the next such line.

    Raises:
        ValueError: the text begins with something else.
    """
    entries = re.split(r"^(?=- )", text, flags=re.MULTILINE)
    if entries[0].strip() not in ("", "---"):
        raise ValueError
    return entries[1:]


def parse_pieces(entries: list[str]) -> list[dict]:
    """Return each entry's mapping.

    Raises:
        ValueError: an entry is not a mapping by itself.
    """
    found = [plain_mapping(entry) for entry in entries]
    others = [number for number, mapping in enumerate(found) if mapping is None]
    pieces = [others[start : start + PIECE] for start in range(0, len(others), PIECE)]
    texts = [
        "".join(entries[number] if entries[number].endswith("\n") else entries[number] + "\n" for number in piece)
        for piece in pieces
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a process
        results = pool.map(load_elsewhere, texts) if len(texts) > 1 else map(load_piece, texts)
        for piece, mapped in zip(pieces, results):
            if len(mapped) != len(piece):
                raise ValueError
            for number, mapping in zip(piece, mapped):
                found[number] = mapping
    return [mapping for mapping in found if mapping is not None]


def plain_mapping(entry: str) -> dict | None:
    """Return an entry of plain words and numbers as a mapping of strings; None for any other entry."""
    if not (FLOW.fullmatch(entry) or BLOCK.fullmatch(entry)):
        return None
    return {key: quoted[1:-1] if quoted else plain for key, quoted, plain in PAIRS.findall(entry)}


def load_piece(text: str) -> list[dict]:
    """Read some entries with the YAML reader; ValueError if they are not right by themselves."""
    try:
        return mappings(load(text))
    except yaml.YAMLError as error:
        raise ValueError from error


def load_elsewhere(text: str) -> list[dict]:
    """Do the same in another process, which imports nothing but this file."""
    process = subprocess.run([sys.executable, __file__], input=text.encode(), capture_output=True)
    if process.returncode:
        raise ValueError
    return json.loads(process.stdout)


def load(text: str) -> Any:
    """Read YAML with the fastest safe loader."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def mappings(value: Any) -> list[dict]:
    """Return the value if it is a list of mappings; ValueError if not."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError("not a list of segments (offset, duration, wav)")
    return value


if __name__ == "__main__":
    try:
        json.dump(load_piece(sys.stdin.buffer.read().decode()), sys.stdout, default=str)
    except ValueError:
        sys.exit(1)
