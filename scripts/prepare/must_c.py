#!/usr/bin/env python3
"""Check a language of MuST-C, and write what stage 2 needs of it: tables of segments, a vocabulary, a report.

Of training, what cannot serve is left out (no translation, no duration, past the end of its talk, too long); dev and the tests stay whole.
Every change is in OUT/report.md, and OUT/lengths.png shows how long the segments are. --shards packs the sound into a few large files.
"""

import argparse
import json
import os
import sys
from hashlib import sha256
from pathlib import Path

try:
    import mmpt.upstream.mmpt_av  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.midtrain.corpus import ABOUT, FORMAT, VERSION, VOCABULARY, PublishedCorpus, write_table
from mmpt.midtrain.published_must_c import language_folder
from mmpt.midtrain.segments import TRAIN, Split
from mmpt.midtrain.vocabulary import save_vocabulary, train_vocabulary
from mmpt.scripts.prepare.must_c_report import draw_lengths, shared_texts, write_report
from mmpt.scripts.prepare.segment_shards import pack_split
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text

MADE_FROM, SHARDS = "made_from.json", "shards"

EXAMPLES = """\
examples:
  python scripts/prepare/must_c.py --root /corpora/must_c --target-lang de --out data/must_c_de
  python scripts/prepare/must_c.py --root /corpora/must_c --target-lang de --out data/must_c_de --shards --jobs 16
  python midtrain/run.py --target-lang de --data data/must_c_de --init runs/pretrain/mae-lrs3

--root holds en-xx/data/{train,dev,tst-COMMON,tst-HE}/{wav,txt} as MuST-C v1, v2 and v3 are published. Without --shards the tables
name the talks' wavs where they lie now, and segments are read by seeking in them. An interrupted call goes on by the same command.
"""


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--root", type=Path, required=True, metavar="MUSTC", help="the folder that holds en-de, en-it and so on"
    )
    p.add_argument("--target-lang", required=True, metavar="XX", help="language to translate into: de, it, nl ...")
    p.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the tables go: a new folder, or one that this command began",
    )
    p.add_argument(
        "--max-frames",
        type=int,
        default=3000,
        metavar="N",
        help="longer training segments (10 ms frames) are left out (default: %(default)s)",
    )
    p.add_argument(
        "--vocabulary-size",
        type=int,
        default=8000,
        metavar="N",
        help="sub-words, fewer where the text is small (default: %(default)s)",
    )
    p.add_argument(
        "--shards", action="store_true", help="pack the sound into tars (FLAC), for disks on which many reads are slow"
    )
    p.add_argument(
        "--hours-per-shard",
        type=float,
        default=4.0,
        metavar="H",
        help="of sound in a tar (default: %(default)s, about 300 MB)",
    )
    p.add_argument(
        "--jobs",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="processes that pack (default: as many as cores, here %(default)s)",
    )
    p.add_argument(
        "--fresh", action="store_true", help="delete what this command wrote into DIR before, and start again"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    for name in ("max_frames", "vocabulary_size", "jobs", "hours_per_shard"):
        if getattr(options, name) <= 0:
            raise InputError(f"--{name.replace('_', '-')} must be above 0, not {getattr(options, name):g}")
    prepare(options)
    return 0


def prepare(options: argparse.Namespace) -> None:
    """Reads and checks all splits, then writes the folder; corpus.json comes last and makes it usable."""
    corpus = PublishedCorpus(
        language_folder(options.root, options.target_lang), options.target_lang, options.max_frames
    )
    for needed in (TRAIN, "dev"):
        if needed not in corpus.splits:
            raise InputError(
                f"{corpus.where}: no split {needed!r} here (there is {', '.join(corpus.splits) or 'none'}); was all of it unpacked?"
            )
    splits = []
    for name in corpus.splits:
        splits.append(corpus.read(name))
        print(f"{corpus.name}, {splits[-1].describe()}")
    made_from = {
        "language": options.target_lang,
        "max_frames": options.max_frames,
        "vocabulary_size": options.vocabulary_size,
        "hours_per_shard": options.hours_per_shard if options.shards else None,
        "segments_sha256": sha256("\n".join(str(s) for split in splits for s in split.segments).encode()).hexdigest(),
    }
    prepare_folder(options.out, made_from, options.fresh)
    vocabulary = train_vocabulary([s.target for s in splits[0].segments], options.vocabulary_size, "--vocabulary-size")
    save_vocabulary(vocabulary, options.out / VOCABULARY)
    print(f"Vocabulary: {len(vocabulary):,} sub-words of the training translations")
    if options.shards:
        (options.out / SHARDS).mkdir(exist_ok=True)
        splits = [
            Split(
                s.name,
                pack_split(s.name, s.segments, options.out / SHARDS, options.hours_per_shard, options.jobs),
                s.changes,
            )
            for s in splits
        ]
    for split in splits:
        write_table(options.out / f"{split.name}.tsv", split.segments)
    shared = shared_texts(splits)
    draw_lengths(splits, options.out / "lengths.png")
    write_report(corpus.name, splits, shared, vocabulary, options.out / "report.md")
    about = {
        "format": FORMAT,
        "version": VERSION,
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
    write_text(options.out / ABOUT, json.dumps(about, indent=1) + "\n")
    for name, ids in shared.items():
        print(f"{name}: {len(ids)} segments have the texts of a training segment (kept)")
    print(f"Report: {options.out / 'report.md'}")
    print(f"Next: python midtrain/run.py --target-lang {options.target_lang} --data {options.out}")


def prepare_folder(out: Path, made_from: dict, fresh: bool) -> None:
    """Makes the folder, or makes sure that it was begun with the same segments and options; with `fresh` its files are deleted.

    Raises:
        InputError: it is finished, holds something else, or was begun otherwise.
    """
    ours = (out / MADE_FROM).is_file()
    if out.exists() and not ours and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty and not made by this command; name another folder with --out")
    if ours and fresh:
        kinds = (
            "*.tsv",
            "lengths.png",
            "report.md",
            VOCABULARY,
            ABOUT,
            f"{SHARDS}/*.tar",
            f"{SHARDS}/*.tsv",
            f"{SHARDS}/.*.tmp",
        )
        for file in [file for kind in kinds for file in out.glob(kind)]:
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
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / MADE_FROM, json.dumps(made_from, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
