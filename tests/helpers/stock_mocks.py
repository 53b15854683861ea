"""Tiny corpora of noise in the published layouts: what S3PRL's data classes read, and nothing to learn."""

import json
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
WORDS = {"HELLO": "HH AH0 L OW1", "WORLD": "W ER1 L D", "A": "AH0"}


def noise(file: Path, seconds: float = 0.5) -> None:
    """Write a recording of noise whose samples depend on its name alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(sum(map(ord, file.name)))
    soundfile.write(file, generator.normal(0, 0.1, int(seconds * RATE)).astype(np.float32), RATE)


def speech_commands(root: Path) -> None:
    """Two training speakers (f1, f3), one for development (m3, by S3PRL's hash), one to test."""
    train, test = root / "speech_commands_v0.01", root / "speech_commands_test_set_v0.01"
    for word in (*COMMANDS, "bed"):
        for speaker in ("f1", "f3", "m3"):
            noise(train / word / f"{speaker}_nohash_0.wav")
    noise(train / "_background_noise_" / "hiss.wav", 1.5)
    for word in (*COMMANDS, "_unknown_", "_silence_"):
        noise(test / word / "m4_nohash_0.wav")


def fluent_commands(root: Path, per_split: int = 6) -> None:
    """Three CSV files of the same intents."""
    folder = root / "fluent_speech_commands_dataset"
    for split in ("train", "valid", "test"):
        rows = [",path,speakerId,transcription,action,object,location"]
        for index in range(per_split):
            name = f"wavs/speakers/s1/{split}{index}.wav"
            noise(folder / name)
            rows.append(f"{index},{name},s1,text,{('on', 'off')[index % 2]},{('lamp', 'heat')[index // 2 % 2]},none")
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / f"{split}_data.csv").write_text("\n".join(rows) + "\n")


def librispeech(root: Path, per_split: int = 6, lexicon: str = "samples-lexicon.txt") -> None:
    """Three splits of one chapter each, their lengths, and a lexicon of three words."""
    folder = root / "LibriSpeech"
    names = list(WORDS)
    (folder / "len_for_bucket").mkdir(parents=True)
    for number, split in enumerate(("train-clean-100", "dev-clean", "test-clean")):
        chapter = folder / split / str(number) / "7"
        lines, table = [], [",file_path,length,label"]
        for index in range(per_split):
            name = f"{number}-7-{index:04d}"
            noise(chapter / f"{name}.flac", 1 + index / 10)
            lines.append(f"{name} {names[index % 3]} {names[(index + 1) % 3]}")
            table.append(f"{index},{split}/{number}/7/{name}.flac,{int((1 + index / 10) * RATE)},0")
        (chapter / f"{number}-7.trans.txt").write_text("\n".join(lines) + "\n")
        (folder / "len_for_bucket" / f"{split}.csv").write_text("\n".join(table) + "\n")
    (folder / "lexicon").mkdir()
    (folder / "lexicon" / lexicon).write_text("".join(f"{word}\t{phones}\n" for word, phones in WORDS.items()))


def diarization(root: Path, per_split: int = 2) -> None:
    """Kaldi folders of recordings with two overlapping speakers."""
    for split in ("train", "dev", "test"):
        folder = root / "diarization" / split
        tables = {"wav.scp": "", "segments": "", "utt2spk": "", "reco2dur": "", "spk2utt": "", "rttm": ""}
        for index in range(per_split):
            recording = f"{split}{index}"
            noise(folder / "wav" / f"{recording}.wav", 4)
            tables["wav.scp"] += f"{recording} {folder / 'wav' / recording}.wav\n"
            tables["reco2dur"] += f"{recording} 4.0\n"
            for speaker, start, end in (("a", 0.2, 2.4), ("b", 1.9, 3.7)):
                utterance = f"{recording}_{speaker}"
                tables["segments"] += f"{utterance} {recording} {start} {end}\n"
                tables["utt2spk"] += f"{utterance} {speaker}\n"
                tables["spk2utt"] += f"{speaker} {utterance}\n"
                tables["rttm"] += f"SPEAKER {recording} 1 {start} {end - start:.2f} <NA> <NA> {speaker} <NA>\n"
        for name, text in tables.items():
            (folder / name).write_text(text)


def mark_as_samples(root: Path, size: str) -> None:
    """Make a root one of built samples, of small or full size."""
    content = {"format": "mmpt-samples", "version": 0, "sources": "", "size": size, "files": 0, "root": str(root)}
    (root / "built.json").write_text(json.dumps(content))


def superb(root: Path) -> Path:
    """All of them under one root."""
    for build in (speech_commands, fluent_commands, librispeech, diarization):
        build(root)
    return root
