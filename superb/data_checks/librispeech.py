"""LibriSpeech's splits, which PR and ASR share."""

from pathlib import Path

from mmpt.superb.data_checks.findings import ERROR, Finding, several
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.ctc_corpora.phones import read_transcript

Utterance = tuple[Path, list[str]]  # recording, words


def split_names(data: dict, *keys: str) -> list[str]:
    """Return the folders that a configuration's splits name, each once."""
    return list(dict.fromkeys(split for key in keys for split in data[key]))


def librispeech_texts(task: str, split: Path) -> tuple[list[Utterance], list[Finding]]:
    """Return the recordings of a split that have a text, with their words, and findings about the others."""
    found: list[Finding] = []
    utterances: list[Utterance] = []
    without: list[Path] = []
    recordings = sorted(split.rglob("*.flac"))
    if not recordings:
        return [], [Finding(ERROR, task, f"{split}: " + ("no .flac file" if split.is_dir() else "no such folder"))]
    texts: dict[Path, dict[str, list[str]]] = {}
    for file in recordings:
        chapter = file.parent
        if chapter not in texts:
            try:
                texts[chapter] = read_transcript(chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt")
            except InputError as error:
                texts[chapter] = {}
                found.append(Finding(ERROR, task, str(error)))
        words = texts[chapter].get(file.stem)
        if words:
            utterances.append((file, words))
        else:
            without.append(file)
    return utterances, found + several(ERROR, task, without, f"recordings of {split.name} without a text")
