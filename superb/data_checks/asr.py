"""LibriSpeech with tables of lengths for ASR."""

import csv
from collections import Counter
from pathlib import Path

from mmpt.superb.ctc_labels import characters
from mmpt.superb.data_checks.findings import ERROR, NOTE, Finding, several
from mmpt.superb.data_checks.librispeech import Utterance, librispeech_texts, split_names
from mmpt.superb.data_checks.published import check_counts
from mmpt.superb.data_checks.recordings import check_ctc, check_format, check_readable, read_headers


def check(config: dict, hop: int | None) -> list[Finding]:
    """Check characters, tables and recordings, and what training batches leave over."""
    data = config["downstream_expert"]["datarc"]
    root, tables = Path(data["libri_root"]), Path(data["bucket_file"])
    found: list[Finding] = []
    n_train = 0
    lines = Path(data["dict_path"]).read_text(encoding="utf-8").splitlines()
    letters = {line.split()[0] for line in lines if line.strip()}
    evaluated = split_names(data, "dev-clean", "test-clean")
    for split in split_names(data, "train", "dev-clean", "test-clean"):
        utterances, trouble = librispeech_texts("asr", root / split)
        found += trouble + _check_characters(utterances, split, letters)
        table = tables / f"{split}.csv"
        try:
            listed = {root / row["file_path"] for row in csv.DictReader(table.open(encoding="utf-8", newline=""))}
        except (OSError, KeyError) as error:
            what = getattr(error, "strerror", None) or "has no column file_path"
            remedy = f"write it with python scripts/prepare/librispeech_lengths.py --root {root}"
            found.append(Finding(ERROR, "asr", f"{table}: {what}; {remedy}"))
            continue
        found += _check_table({file for file, _ in utterances}, listed, table, split)
        headers = read_headers([file for file, _ in utterances], f"headers of {split}")
        found += check_readable("asr", headers) + check_format("asr", headers)
        found += check_counts("asr", {split: len(utterances)})
        labels = {file: characters(words) for file, words in utterances}
        found += check_ctc("asr", split, labels, headers, hop)
        n_train += len(utterances) if split in data["train"] else 0
        if split in evaluated:
            found += _check_evaluation_batches(len(utterances), data["eval_batch_size"], split)
    return found + _check_batches(n_train, data["batch_size"], root)


def _check_characters(utterances: list[Utterance], split: str, letters: set[str]) -> list[Finding]:
    texts = (word.upper() for _, words in utterances for word in words)
    strange = Counter(letter for text in texts for letter in text if letter not in letters)
    items = [f"'{letter}' ({n} times)" for letter, n in sorted(strange.items())]
    what = f"characters of {split} outside the dictionary, which S3PRL would take for labels that do not exist"
    return several(ERROR, "asr", items, what)


def _check_table(files: set[Path], listed: set[Path], table: Path, split: str) -> list[Finding]:
    gone = f"files in {table} that are not there or have no text (write the table again)"
    new = f"recordings of {split} that {table} does not list (write the table again)"
    return several(ERROR, "asr", sorted(listed - files), gone) + several(ERROR, "asr", sorted(files - listed), new)


def _check_batches(n_train: int, batch_size: int, root: Path) -> list[Finding]:
    if n_train == 1:
        text = f"{root}: one training utterance: S3PRL leaves out a batch of one, and would wait for ever"
        return [Finding(ERROR, "asr", text)]
    if n_train % batch_size == 1:
        text = (
            f"{n_train} training utterances leave one over in batches of {batch_size}, the shortest, which S3PRL drops"
        )
        return [Finding(NOTE, "asr", text)]
    return []


def _check_evaluation_batches(n: int, batch_size: int, split: str) -> list[Finding]:
    if batch_size > 1 and n % batch_size == 1:
        left_over = f"{n} utterances of {split} leave one over in batches of {batch_size}, which S3PRL would not score"
        remedy = "set config.downstream_expert.datarc.eval_batch_size to 1"
        return [Finding(ERROR, "asr", f"{left_over}; {remedy}")]
    return []
