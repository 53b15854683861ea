"""Tiny corpora of noise, in the published layouts, for the tasks of SUPERB beyond the five."""

import itertools
from pathlib import Path

from helpers.stock_mocks import noise

SLOTS = ("artist", "city")


def voxceleb1(root: Path) -> None:
    """Two training speakers with a recording in each split of SID, and two test speakers with trials for ASV."""
    folder, splits, trials = root / "VoxCeleb1", [], []
    for speaker, part in (("id10001", "dev"), ("id10002", "dev"), ("id10270", "test"), ("id10271", "test")):
        for split in (1, 2, 3):
            name = f"{speaker}/video{split}/00001.wav"
            noise(folder / part / "wav" / name, 2.4 + split / 10)
            splits.append(f"{split} {name}")
    tests = [line.split()[1] for line in splits if "id1027" in line]
    for first, second in itertools.combinations(tests, 2):
        trials.append(f"{int(first[:7] == second[:7])} {first} {second}")
    (folder / "iden_split.txt").write_text("\n".join(splits) + "\n")
    (folder / "voxceleb1_test_v2.txt").write_text("\n".join(trials) + "\n")


def iemocap(root: Path, per_session: int = 4) -> None:
    """Five sessions of one dialogue, whose evaluation file has a line for each utterance and more."""
    emotions = ("neu", "hap", "ang", "sad", "exc", "xxx")
    for session in range(1, 6):
        folder, dialogue = root / "IEMOCAP" / f"Session{session}", f"Ses0{session}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for index in range(per_session + 2):
            name = f"{dialogue}_F{index:03d}"
            noise(folder / "sentences" / "wav" / dialogue / f"{name}.wav")
            lines += [
                f"[{index}.0000 - {index + 1}.0000]\t{name}\t{emotions[index % 6]}\t[2.5, 2.5, 2.5]",
                "C-E1:\tNeutral;",
            ]
        evaluation = folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
        evaluation.parent.mkdir(parents=True)
        evaluation.write_text("\n".join(lines) + "\n")


def snips(root: Path) -> None:
    """Two recordings for each of three speakers, and one by a speaker of another split."""
    folder, lines = root / "SNIPS", []
    for split, speaker in (("train", "Ivy"), ("train", "Joey"), ("train", "Amy"), ("valid", "Amy"), ("test", "Brian")):
        for index in range(2):
            name = f"{speaker}-snips-{split}-{index}"
            noise(folder / split / f"{name}.wav", 2.5)
            lines.append(f"{name} BOS PLAY ADELE & CO IN ROME EOS\tO O artist artist artist O city PlayMusic")
    (folder / "all.iob.snips.txt").write_text("\n".join(lines) + "\n")
    (folder / "slots.txt").write_text("\n".join(("O", *SLOTS)) + "\n")


def quesst14(root: Path) -> None:
    """Three documents and a query of each split, in English, and a recording in another language."""
    folder = root / "quesst14Database"
    tables = {"utterances": [], "dev": [], "eval": []}
    for table, count in (("utterances", 3), ("dev", 1), ("eval", 1)):
        for index in range(count):
            name = f"{table}/{table}_{index}.wav"
            noise(folder / name, 1.5)
            tables[table].append(f"quesst14Database/{name} nnenglish")
        tables[table].append(f"quesst14Database/{table}/absent.wav czech")
    (folder / "scoring").mkdir()
    for table, lines in tables.items():
        (folder / "scoring" / f"language_key_{table}.lst").write_text("\n".join(lines) + "\n")


def mixtures(root: Path) -> None:
    """Libri2Mix and Voicebank as lists of recordings: two for each split."""
    corpora = {
        "Libri2Mix/wav16k/min": (("train-100", "dev", "test"), ("mix_clean", "s1", "s2")),
        "voicebank/wav16k": (("train", "dev", "test"), ("noisy", "clean")),
    }
    for corpus, (splits, kinds) in corpora.items():
        for split, kind in itertools.product(splits, kinds):
            folder = root / corpus / split / kind
            names = [f"{split}{index}" for index in range(2)]
            for name in names:
                noise(folder / f"{name}_{kind}.wav", 1.5)
            (folder / "wav.scp").write_text("".join(f"{name} {folder / name}_{kind}.wav\n" for name in names))


def other_corpora(root: Path) -> Path:
    """All of them under one root."""
    for build in (voxceleb1, iemocap, snips, quesst14, mixtures):
        build(root)
    return root
