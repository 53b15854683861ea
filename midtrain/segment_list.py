"""MuST-C's YAML lists of segments, 230,000 entries in seconds.

YAML readers take half a minute for as many. But an entry begins at a line's start and is as good as always a mapping of plain
words and numbers, which one regular expression reads. Entries of any other form go through the real reader, in pieces, by
several processes; what cannot be cut into pieces, as a whole.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import yaml

NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?"
NAME = r"\w[\w-]*\.[\w.-]*"  # ted_1.wav, spk.1: with a full stop it is no word that YAML reads as yes or nothing
QUOTED = r"'[^'\\\n]*'|\"[^\"\\\n]*\""
PAIR = rf"[A-Za-z_]+: (?:{NUMBER}|{NAME}|{QUOTED})"
FLOW = re.compile(rf"- \{{{PAIR}(?:, {PAIR})*\}}\s*")  # - {duration: 1.5, offset: 3.25, wav: ted_1.wav}
BLOCK = re.compile(rf"- {PAIR}\s*(?:\n  {PAIR}\s*)*")  # - duration: 1.5 and so on, one pair a line
PAIRS = re.compile(rf"([A-Za-z_]+): (?:({QUOTED})|({NUMBER}|{NAME}))")
PIECE = 5000  # entries for the real reader at a time


def parse_segment_list(text: str) -> list[dict]:
    """The mappings of a YAML list, with numbers perhaps as strings.

    Raises:
        yaml.YAMLError: it is no YAML.
        ValueError: it is no list of mappings.
    """
    try:
        return parse_pieces(entries_of(text))
    except ValueError:  # not to be cut, or not right: the real reader says
        return mappings(load(text))


def entries_of(text: str) -> list[str]:
    """The text of each entry: from a line that begins with "- " to the next.

    Raises:
        ValueError: the text begins with something else.
    """
    entries = re.split(r"^(?=- )", text, flags=re.MULTILINE)
    if entries[0].strip() not in ("", "---"):
        raise ValueError
    return entries[1:]


def parse_pieces(entries: list[str]) -> list[dict]:
    """Each entry's mapping.

    Raises:
        ValueError: some entry is not a mapping by itself.
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
    return found


def plain_mapping(entry: str) -> dict | None:
    """The mapping of an entry of plain words and numbers, as strings; None where only a YAML reader knows."""
    if not (FLOW.fullmatch(entry) or BLOCK.fullmatch(entry)):
        return None
    return {key: quoted[1:-1] if quoted else plain for key, quoted, plain in PAIRS.findall(entry)}


def load_piece(text: str) -> list[dict]:
    """Some entries, by the real reader (ValueError: they are not right by themselves)."""
    try:
        return mappings(load(text))
    except yaml.YAMLError as error:
        raise ValueError from error


def load_elsewhere(text: str) -> list[dict]:
    """The same by another process, which imports nothing but this file."""
    process = subprocess.run([sys.executable, __file__], input=text.encode(), capture_output=True)
    if process.returncode:
        raise ValueError
    return json.loads(process.stdout)


def load(text: str):
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def mappings(value) -> list[dict]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError("not a list of segments (offset, duration, wav)")
    return value


if __name__ == "__main__":
    try:
        json.dump(load_piece(sys.stdin.buffer.read().decode()), sys.stdout, default=str)
    except ValueError:
        sys.exit(1)
