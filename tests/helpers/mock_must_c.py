"""Make a tiny MuST-C of noise, in the published layout."""

from pathlib import Path

import numpy as np
import soundfile

from mmpt.scripts.prepare.must_c import main as prepare_must_c

RATE = 16_000
SENTENCES = ("uno due tre", "quattro cinque", "sei sette otto nove", "dieci")


def talk(file: Path, seconds: float, rate: int = RATE, channels: int = 1) -> None:
    """Write a wav of noise that depends on its name alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(sum(map(ord, file.name)))
    shape = int(seconds * rate) if channels == 1 else (int(seconds * rate), channels)
    soundfile.write(file, generator.normal(0, 0.1, shape).astype(np.float32), rate, subtype="PCM_16")


def split(root: Path, name: str, talks: int, language: str = "it", per_talk: int = 4) -> Path:
    """Write a split, whose talks have several segments of unequal lengths; return its txt folder."""
    data = root / f"en-{language}" / "data" / name
    entries, english, translated = [], [], []
    for number in range(1, talks + 1):
        offset = 0.25
        for index in range(per_talk):
            duration = 0.4 + 0.13 * index + 0.05 * number
            entries.append(
                f"- {{duration: {duration:.6f}, offset: {offset:.6f}, rW: 3, uW: 0, speaker_id: spk.{number}, "
                f"wav: ted_{name}{number}.wav}}"
            )
            english.append(f"sentence {index}")
            translated.append(f"{SENTENCES[(index + number) % 4]} {SENTENCES[index % 4]}")
            offset += duration + 0.1
        talk(data / "wav" / f"ted_{name}{number}.wav", offset + 0.2)
    txt = data / "txt"
    txt.mkdir(parents=True)
    for suffix, lines in (("yaml", entries), ("en", english), (language, translated)):
        (txt / f"{name}.{suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return txt


def corpus(root: Path, language: str = "it") -> Path:
    """Write train, dev and tst-COMMON; return `root`."""
    for name, talks in (("train", 3), ("dev", 1), ("tst-COMMON", 1)):
        split(root, name, talks, language)
    return root


def edit(file: Path, number: int, old: str, new: str) -> None:
    """Change one line (from 0) of a text file."""
    lines = file.read_text(encoding="utf-8").split("\n")
    assert old in lines[number], (old, lines[number])
    lines[number] = lines[number].replace(old, new)
    file.write_text("\n".join(lines), encoding="utf-8")


def prepared(root: Path, out: Path, *options: str) -> Path:
    """Prepare the Italian corpus by scripts/prepare/must_c.py, with at most 40 sub-words; return `out`."""
    arguments = ["--root", str(root), "--target-lang", "it", "--out", str(out)]
    assert prepare_must_c([*arguments, "--vocabulary-size", "40", "--jobs", "1", *options]) == 0
    return out
