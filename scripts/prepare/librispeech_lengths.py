#!/usr/bin/env python3
"""Write the tables of lengths by which S3PRL's ASR task sorts its batches: len_for_bucket/SPLIT.csv.

S3PRL's own script is not in its wheel, and needs an old torchaudio. The tables are the same: longest file first,
columns `,file_path,length,label`, paths relative to the LibriSpeech folder, lengths in samples, no label. In S3PRL's
config, set `libri_root: ROOT` and `bucket_file: OUT`.
"""

import argparse
import csv
import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

SPLITS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")


def write_lengths(root: Path, out: Path, splits: list[str] | None = None, jobs: int = 8) -> dict[str, int]:
    """Write out/SPLIT.csv for each split of a LibriSpeech folder; return the number of files of each.

    Args:
        root: the LibriSpeech folder.
        out: where the tables go.
        splits: their names; None: those of the seven that are there.
        jobs: number of headers to read at the same time.

    Raises:
        InputError: the folder or a split is missing, or has no .flac, or has one that is unreadable or not 16 kHz.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; --root must name the LibriSpeech folder that holds train-clean-100")
    splits = splits or [name for name in SPLITS if (root / name).is_dir()]
    if not splits:
        raise InputError(f"{root}: holds none of {', '.join(SPLITS)}; --root must name the folder right above them")
    counts = {}
    for name in splits:
        rows = read_lengths(root, name, jobs)
        write_table(out / f"{name}.csv", rows)
        counts[name] = len(rows)
    return counts


def read_lengths(root: Path, name: str, jobs: int) -> list[tuple[str, int]]:
    """Return the path, relative to root, and the samples of each .flac of a split; longest first, then by path."""
    from mmpt.upstream.progress import Progress

    if not (root / name).is_dir():
        there = [split for split in SPLITS if (root / split).is_dir()]
        raise InputError(f"{root / name}: no such split; there are: {', '.join(there) or 'none'}")
    paths = sorted((root / name).rglob("*.flac"))
    if not paths:
        raise InputError(f"{root / name}: no .flac files; was LibriSpeech unpacked?")
    # Reading a header waits on the disk, not on Python: threads are enough, and start immediately.
    with ThreadPoolExecutor(jobs) as pool:
        counted = Progress(pool.map(samples_in, paths), total=len(paths), desc=f"lengths of {name}", unit="file")
        lengths = list(counted)
    rows = [(path.relative_to(root).as_posix(), length) for path, length in zip(paths, lengths, strict=True)]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def samples_in(path: Path) -> int:
    """Return a file's length in samples, from its header."""
    import soundfile

    try:
        header = soundfile.info(path)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); unpack LibriSpeech again") from None
    if header.samplerate != SAMPLE_RATE:
        raise InputError(f"{path}: {header.samplerate} Hz, but LibriSpeech and S3PRL's ASR have {SAMPLE_RATE} Hz")
    return header.frames


def write_table(path: Path, rows: list[tuple[str, int]]) -> None:
    """Write one table, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("", "file_path", "length", "label"))
    writer.writerows((index, name, length, "") for index, (name, length) in enumerate(rows))
    write_text(path, table.getvalue())


@clean_exit
def main(argv: list[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n"
        "  python scripts/prepare/librispeech_lengths.py --root /data/LibriSpeech --out data/len_for_bucket",
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="the LibriSpeech folder, which holds train-clean-100 …"
    )
    parser.add_argument("--out", type=Path, help="where the tables go (default: ROOT/len_for_bucket)")
    parser.add_argument("--splits", nargs="+", metavar="SPLIT", help="splits to list (default: all that are there)")
    parser.add_argument("--jobs", type=int, default=8, help="files to read at the same time (default: %(default)s)")
    options = parser.parse_args(argv)
    if options.jobs < 1:
        raise InputError(f"--jobs must be at least 1, not {options.jobs}")
    out = options.out or options.root / "len_for_bucket"
    for name, count in write_lengths(options.root, out, options.splits, options.jobs).items():
        print(f"{out / name}.csv: {count} files")


if __name__ == "__main__":
    sys.exit(main())
