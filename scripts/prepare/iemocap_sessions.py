#!/usr/bin/env python3
"""Write the lists by which S3PRL's emotion recognition splits IEMOCAP: meta_data/SessionN/*_meta_data.json.

Session N is tested by a head that is trained on the other four. The classes are neutral, happy (with excited), angry
and sad; other utterances are left out. S3PRL's git tree has these lists, too, in the order of its authors'
disk. That order decides which fifth of the training list becomes the development set.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text

SESSIONS = tuple(f"Session{number}" for number in range(1, 6))
LABELS = {"neu": 0, "hap": 1, "ang": 2, "sad": 3}
CLASS_OF = {**{name: name for name in LABELS}, "exc": "hap"}
TURN = re.compile(r"\[[^]]*\]\t(?P<name>\S+)\t(?P<emotion>\w+)\t")


def write_sessions(root: Path, out: Path) -> dict[str, int]:
    """Write out/SessionN/train_meta_data.json and test_meta_data.json; return the utterances of each session.

    Args:
        root: the folder IEMOCAP, with Session1 to Session5.
        out: where the lists go.

    Raises:
        InputError: a session is missing, or has no utterance of the four classes.
    """
    sessions = {name: read_session(root, name) for name in SESSIONS}
    for tested in SESSIONS:
        train = [item for name in SESSIONS if name != tested for item in sessions[name]]
        for part, items in (("train", train), ("test", sessions[tested])):
            content = json.dumps({"labels": LABELS, "meta_data": items}, indent=1)
            (out / tested).mkdir(parents=True, exist_ok=True)
            write_text(out / tested / f"{part}_meta_data.json", content + "\n")
    return {name: len(items) for name, items in sessions.items()}


def read_session(root: Path, session: str) -> list[dict[str, str]]:
    """Return path (relative to root), label and speaker of a session's utterances, by their names."""
    wavs = {file.stem: file for file in (root / session / "sentences" / "wav").rglob("*.wav")}
    evaluations = sorted((root / session / "dialog" / "EmoEvaluation").glob("*.txt"))
    if not wavs or not evaluations:
        raise InputError(
            f"{root / session}: expected sentences/wav/DIALOG/*.wav and dialog/EmoEvaluation/*.txt; --root must name "
            "the folder IEMOCAP (IEMOCAP_full_release) that holds Session1 to Session5"
        )
    items = []
    for file in evaluations:
        for turn in TURN.finditer(file.read_text(encoding="utf-8", errors="replace")):
            name, label = turn["name"], CLASS_OF.get(turn["emotion"])
            if label is not None and name in wavs:
                path = wavs[name].relative_to(root).as_posix()
                items.append({"path": path, "label": label, "speaker": name.partition("_")[0]})
    if not items:
        raise InputError(f"{root / session}: no utterance of {', '.join(LABELS)} has a .wav file")
    return sorted(items, key=lambda item: item["path"])


@clean_exit
def main(argv: list[str] | None = None) -> None:
    """Write the lists."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python scripts/prepare/iemocap_sessions.py --root /data/IEMOCAP",
    )
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds Session1 to Session5")
    parser.add_argument("--out", type=Path, help="where the lists go (default: ROOT/meta_data)")
    options = parser.parse_args(argv)
    out = options.out or options.root / "meta_data"
    for session, count in write_sessions(options.root, out).items():
        print(f"{out / session}: {count} utterances to test")


if __name__ == "__main__":
    sys.exit(main())
