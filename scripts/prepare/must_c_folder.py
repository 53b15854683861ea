"""A prepared MuST-C: checked splits, their tables, a vocabulary and a report in one folder."""

import argparse
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from mmpt.midtrain.corpus import ABOUT, FORMAT, VERSION, VOCABULARY, TranslationCorpus, write_table
from mmpt.midtrain.segments import TRAIN, Split
from mmpt.midtrain.vocabulary import Vocabulary, save_vocabulary, train_vocabulary
from mmpt.scripts.prepare.must_c_report import draw_lengths, shared_texts, write_report
from mmpt.scripts.prepare.segment_shards import pack_split
from mmpt.training.sole_use import LOCK, sole_use
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import remove_abandoned, write_text

MADE_FROM, SHARDS = "made_from.json", "shards"
OURS = ("*.tsv", "lengths.png", "report.md", VOCABULARY, ABOUT, f"{SHARDS}/*.tar", f"{SHARDS}/*.tsv")


def prepare(corpus: TranslationCorpus, options: argparse.Namespace) -> None:
    """Read and check all splits, then write the folder; corpus.json comes last and makes it usable.

    Args:
        corpus: what is prepared.
        options: those of `must_c.parser`.

    Raises:
        InputError: the corpus does not fit, or the folder holds something else.
    """
    splits = read_splits(corpus)
    segments = "\n".join(str(s) for split in splits for s in split.segments)
    made_from = {
        "language": corpus.language,
        "max_frames": options.max_frames,
        "vocabulary_size": options.vocabulary_size,
        "hours_per_shard": options.hours_per_shard if options.shards else None,
        "segments_sha256": sha256(segments.encode()).hexdigest(),
    }
    refuse_foreign(options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    with sole_use(options.out):
        prepare_folder(options.out, made_from, options.fresh)
        write_folder(corpus.name, splits, made_from, options)
    print(f"Report: {options.out / 'report.md'}")
    print(f"Next: python midtrain/run.py --target-lang {corpus.language} --data {options.out}")


def read_splits(corpus: TranslationCorpus) -> list[Split]:
    """Read and report all splits, train first."""
    for needed in (TRAIN, "dev"):
        if needed not in corpus.splits:
            raise InputError(
                f"{corpus.folder}: no split {needed!r} here (there is {', '.join(corpus.splits) or 'none'}); "
                "was all of it unpacked?"
            )
    splits = []
    for name in corpus.splits:
        splits.append(corpus.read(name))
        print(f"{corpus.name}, {splits[-1].describe()}")
    return splits


def write_folder(name: str, splits: list[Split], made_from: dict, options: argparse.Namespace) -> None:
    """Write the vocabulary, the shards if wanted, the tables and the report, and last corpus.json."""
    out = options.out
    vocabulary = train_vocabulary([s.target for s in splits[0].segments], options.vocabulary_size, "--vocabulary-size")
    save_vocabulary(vocabulary, out / VOCABULARY)
    print(f"Vocabulary: {len(vocabulary):,} sub-words of the training translations")
    if options.shards:
        splits = [pack(split, out / SHARDS, options) for split in splits]
    for split in splits:
        write_table(out / f"{split.name}.tsv", split.segments)
    shared = shared_texts(splits)
    draw_lengths(splits, out / "lengths.png")
    write_report(name, splits, shared, vocabulary, out / "report.md")
    write_text(out / ABOUT, json.dumps(description(name, splits, vocabulary, made_from), indent=1) + "\n")
    for split_name, ids in shared.items():
        print(f"{split_name}: {len(ids)} segments have the texts of a training segment (kept)")


def pack(split: Split, folder: Path, options: argparse.Namespace) -> Split:
    """Return a split whose sound lies in shards."""
    folder.mkdir(exist_ok=True)
    packed = pack_split(split.name, split.segments, folder, options.hours_per_shard, options.jobs)
    return replace(split, segments=packed)


def description(name: str, splits: list[Split], vocabulary: Vocabulary, made_from: dict) -> dict:
    """Return the content of corpus.json."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "corpus": name,
        "vocabulary_pieces": len(vocabulary),
        **made_from,
        "splits": {
            s.name: {
                "segments": len(s.segments),
                "hours": round(s.hours, 3),
                "changes": {what: len(ids) for what, ids in s.changes.items()},
            }
            for s in splits
        },
    }


def refuse_foreign(out: Path) -> None:
    """Raise InputError if the folder holds something that this command did not write."""
    if not out.exists() or (out / MADE_FROM).is_file():
        return
    if not out.is_dir() or any(path.name != LOCK for path in out.iterdir()):
        raise InputError(f"{out}: is not empty and not made by this command; name another folder with --out")


def prepare_folder(out: Path, made_from: dict, fresh: bool) -> None:
    """Prepare the folder: it is new, or was begun with the same segments and options, or `fresh` deletes its files.

    Raises:
        InputError: it is finished, or was begun with other segments or options.
    """
    for folder in (out, out / SHARDS):
        remove_abandoned(folder)
    ours = (out / MADE_FROM).is_file()
    if ours and fresh:
        # What says that the folder is prepared goes first, and last what makes it ours.
        files = [file for pattern in OURS for file in out.glob(pattern)]
        for file in sorted(files, key=lambda file: (file.name == MADE_FROM, file.name != ABOUT)):
            file.unlink()
    elif ours:
        try:
            before = json.loads((out / MADE_FROM).read_text(encoding="utf-8"))
        except ValueError:
            raise InputError(f"{out / MADE_FROM}: is damaged; start again with --fresh") from None
        if differing := [name for name in made_from if before.get(name) != made_from[name]]:
            raise InputError(
                f"{out}: was begun with other {', '.join(differing)}; name another --out, or start again with --fresh"
            )
        if (out / ABOUT).is_file():
            raise InputError(f"{out}: is prepared already; --fresh prepares it again")
    write_text(out / MADE_FROM, json.dumps(made_from, indent=1) + "\n")
