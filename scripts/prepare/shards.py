#!/usr/bin/env python3
"""Write the clips of a manifest as tar shards, which training reads several times as fast as video files.

A clip's first 10 s become its sound (16 kHz mono FLAC) and its pictures (JPEG, 256 pixels on the short side), so that training
decodes the 16 pictures that it wants and no others. The tars are WebDataset's; OUT/index.tsv tells where each clip lies.
"""

import argparse
import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

try:
    import mmpt.upstream.mmpt_av  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from tqdm import tqdm

from mmpt.pretrain.manifest import SPLITS, Clip, read_manifest, used_s
from mmpt.pretrain.shard_index import COLUMNS, INDEX, index_line
from mmpt.scripts.prepare.shard_making import FORMAT, Packed, ShardWriter, packed_clips
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av.checkpoint import file_hash

MADE_FROM, JOURNAL, SUMS, SKIPPED = "shards.json", "finished.jsonl", "SHA256SUMS", "skipped.jsonl"
OURS = re.compile(
    rf"({'|'.join(map(re.escape, (MADE_FROM, JOURNAL, SUMS, SKIPPED, INDEX)))}|\.?({'|'.join(SPLITS)})-\d{{6}}\.tar(\.tmp)?)"
)

EXAMPLES = """\
examples:
  python scripts/prepare/shards.py kinetics/manifest.tsv --out kinetics/shards     go on with it by the same command
  python scripts/prepare/shards.py clips.tsv --out shards --quality 75 --jobs 16   smaller pictures, 16 processes
  python scripts/prepare/shards.py --out shards --verify                           is every byte as it was written?
  (cd shards && sha256sum -c SHA256SUMS)                                           the same without this program
  python pretrain/run.py --data shards                                             train on them

A clip of 10 s and 340x256 pixels takes about 4 MB (--quality 75: 3 MB), and a core packs about one a second. An interrupted call goes
on with the shard that it was at. What cannot be read is left out and listed with the reason in OUT/skipped.jsonl.
"""


@dataclass(frozen=True)
class Form:
    """What the shards' bytes hang on beside the manifest."""

    short_side: int
    quality: int
    clips_per_shard: int


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "manifest",
        type=Path,
        nargs="?",
        metavar="MANIFEST",
        help="the clips; `python pretrain/run.py --help` describes it",
    )
    p.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the shards go: a new folder, or one that this command began",
    )
    p.add_argument(
        "--short-side",
        type=int,
        default=256,
        metavar="PIXELS",
        help="pictures are scaled down to this, never up (default: %(default)s)",
    )
    p.add_argument("--quality", type=int, default=85, help="of the JPEG pictures, 1 to 100 (default: %(default)s)")
    p.add_argument("--clips-per-shard", type=int, default=500, metavar="N", help="(default: %(default)s, about 2 GB)")
    p.add_argument(
        "--jobs",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="processes (default: as many as cores, here %(default)s)",
    )
    p.add_argument(
        "--max-bad-share",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="of clips that cannot be read, before it ends with an error (default: %(default)s); what is done is kept",
    )
    p.add_argument("--fresh", action="store_true", help="delete the shards in DIR and start again")
    p.add_argument("--verify", action="store_true", help="only check the files in DIR against their checksums")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    ranges = {
        "short_side": (16, 4096),
        "quality": (1, 100),
        "clips_per_shard": (1, 1_000_000),
        "jobs": (1, 1024),
        "max_bad_share": (0, 1),
    }
    for name, (least, most) in ranges.items():
        if not least <= getattr(options, name) <= most:
            raise InputError(f"--{name.replace('_', '-')} must be {least} to {most}, not {getattr(options, name)}")
    if options.verify:
        verify(options.out, options.jobs)
        return 0
    if options.manifest is None:
        raise InputError("no manifest named; `--verify` alone does without one")
    form = Form(options.short_side, options.quality, options.clips_per_shard)
    make_shards(options.manifest, options.out, form, options.jobs, options.max_bad_share, options.fresh)
    return 0


def make_shards(
    manifest: Path, out: Path, form: Form, jobs: int = 1, max_bad_share: float = 0.05, fresh: bool = False
) -> None:
    """Writes the shards that are not there yet, then the index and the checksums.

    Raises:
        InputError: the manifest does not fit, the folder holds something else, or too many clips cannot be read.
    """
    clips = read_manifest(manifest)
    made_from = {"format": FORMAT, "manifest_sha256": file_hash(manifest), **asdict(form)}
    out.mkdir(parents=True, exist_ok=True)
    with sole_user(out):
        prepare_folder(out, made_from, fresh)
        fill_folder(clips, out, form, jobs, max_bad_share)


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Two calls would write the same temporary files (InputError if another one is at work here)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(f"{folder}: another call is writing shards here; wait for it, or name another --out") from None
    except OSError:  # some network file systems have no locks
        pass
    try:
        yield
    finally:
        os.close(handle)


def fill_folder(clips: list[Clip], out: Path, form: Form, jobs: int, max_bad_share: float) -> None:
    """Writes what is missing in a folder that is ready for it."""
    plan = plan_shards(clips, form.clips_per_shard)
    finished = read_journal(out, plan)
    todo = {name: part for name, part in plan.items() if name not in finished}
    started, count = time.monotonic(), sum(map(len, todo.values()))
    if todo:  # an index is there only when all of it is
        for name in (INDEX, SUMS):
            (out / name).unlink(missing_ok=True)
    results = packed_clips(chain.from_iterable(todo.values()), jobs, form.short_side, form.quality)
    with tqdm(
        total=len(clips), initial=len(clips) - count, unit="clip", desc="packing clips", dynamic_ncols=True
    ) as bar:
        for name, part in todo.items():
            finished[name] = write_shard(out / f"{name}.tar", part, results, bar)
            with (out / JOURNAL).open("a", encoding="utf-8") as file:
                file.write(journal_line(finished[name]))
            skipped = list_skipped(out, [finished[name] for name in plan if name in finished])
            bar.set_postfix(skipped=skipped)
            if skipped > max_bad_share * len(clips):
                results.close()
                break
    entries = [finished[name] for name in plan if name in finished]
    skipped = list_skipped(out, entries)
    if skipped > max_bad_share * len(clips):
        raise InputError(
            f"{skipped} of {len(clips)} clips cannot be read, more than --max-bad-share {max_bad_share:g}; see {out / SKIPPED}. "
            "What is done is kept: allow more, or mend them and start with --fresh"
        )
    write_index(out, entries)
    report(out, clips, entries, f", {count / (time.monotonic() - started):.1f} clips/s" if count else "")


def prepare_folder(out: Path, made_from: dict, fresh: bool) -> None:
    """Makes the folder ready, or makes sure that it holds shards of the same manifest and form; with `fresh` they are deleted (InputError)."""
    there = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    strange = [name for name in there if not OURS.fullmatch(name)]
    if there and (strange or MADE_FROM not in there):
        raise InputError(f"{out}: holds other files ({(strange or there)[0]}); name a new folder with --out")
    if there and not fresh:
        try:
            before = json.loads((out / MADE_FROM).read_text(encoding="utf-8"))
        except ValueError:
            raise InputError(f"{out / MADE_FROM}: is damaged; start again with --fresh") from None
        differing = [name for name in made_from if before.get(name) != made_from[name]]
        if differing:
            what = [
                "another manifest" if name == "manifest_sha256" else f"{name} {before.get(name)}, not {made_from[name]}"
                for name in differing
            ]
            raise InputError(
                f"{out}: its shards were made with {', '.join(what)}; name another --out, or start again with --fresh"
            )
        return
    for name in there:
        (out / name).unlink()
    write_text(out / MADE_FROM, json.dumps(made_from, indent=1) + "\n")


def plan_shards(clips: list[Clip], size: int) -> dict[str, list[Clip]]:
    """Which clips, in the manifest's order, go into which shard: train-000000 …, dev-000000 …"""
    plan = {}
    for split in SPLITS:
        part = [clip for clip in clips if clip.split == split]
        plan |= {f"{split}-{start // size:06d}": part[start : start + size] for start in range(0, len(part), size)}
    return plan


def read_journal(out: Path, plan: dict[str, list[Clip]]) -> dict[str, dict]:
    """What is known of the shards that are finished; a line that a kill left half, or whose shard is gone, does not count."""
    finished = {}
    for line in (
        (out / JOURNAL).read_text(encoding="utf-8", errors="replace").splitlines() if (out / JOURNAL).is_file() else []
    ):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        path = out / f"{entry['shard']}.tar"
        if entry["shard"] in plan and (
            not entry["index"] or (path.is_file() and path.stat().st_size == entry["bytes"])
        ):
            finished[entry["shard"]] = entry
    write_text(out / JOURNAL, "".join(map(journal_line, finished.values())))
    return finished


def journal_line(entry: dict) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def write_shard(path: Path, clips: list[Clip], results: Iterator[Packed | str], bar: tqdm) -> dict:
    """Writes one shard; returns its journal entry: checksum, index lines, and what was skipped."""
    skipped = []
    with ShardWriter(path) as writer:
        for clip in clips:
            packed = next(results)
            if isinstance(packed, str):
                skipped.append({"id": clip.id, "reason": packed})
            else:
                writer.add(clip, packed)
            bar.update()
    return {
        "shard": path.stem,
        "bytes": writer.size if writer.clips else 0,
        "sha256": writer.sha256,
        "index": [index_line(clip) for clip in writer.clips],
        "skipped": skipped,
    }


def list_skipped(out: Path, entries: list[dict]) -> int:
    """Writes skipped.jsonl; returns the number of its lines."""
    skipped = list(chain.from_iterable(entry["skipped"] for entry in entries))
    write_text(out / SKIPPED, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in skipped))
    return len(skipped)


def write_index(out: Path, entries: list[dict]) -> None:
    """Writes the checksums of all files, and last the index, which makes the shards usable; the journal gets the shards' order."""
    write_text(out / JOURNAL, "".join(map(journal_line, entries)))
    index = "".join(
        line + "\n" for line in ["\t".join(COLUMNS), *chain.from_iterable(entry["index"] for entry in entries)]
    )
    sums = {f"{entry['shard']}.tar": entry["sha256"] for entry in entries if entry["index"]}
    sums |= {name: sha256((out / name).read_bytes()).hexdigest() for name in (MADE_FROM, SKIPPED)} | {
        INDEX: sha256(index.encode()).hexdigest()
    }
    write_text(out / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    write_text(out / INDEX, index)


def report(out: Path, clips: list[Clip], entries: list[dict], speed: str) -> None:
    """What is there now, and how much room it takes."""
    lengths = {clip.id: used_s(clip.duration_s) for clip in clips}
    rows = [dict(zip(COLUMNS, line.split("\t"))) for entry in entries for line in entry["index"]]
    for split in SPLITS:
        its = [row for row in rows if row["split"] == split]
        if its:
            print(f"{split}: {len(its)} clips in {len({row['shard'] for row in its})} shards")
    skipped = sum(len(entry["skipped"]) for entry in entries)
    if skipped:
        print(f"skipped: {skipped} clips, listed in {out / SKIPPED}")
    if rows:
        total, hours = sum(entry["bytes"] for entry in entries), sum(lengths[row["id"]] for row in rows) / 3600
        sound = sum(int(row["audio_bytes"]) for row in rows) / total
        print(
            f"{total / len(rows) / 1e6:.3g} MB a clip ({sound:.0%} of it sound), {total / hours / 1e9:.3g} GB an hour{speed}"
        )
    print(f"Next: python pretrain/run.py --data {out}")


def verify(out: Path, jobs: int) -> None:
    """Compares every file with its checksum.

    Raises:
        InputError: there are no checksums, or files are missing or not what was written.
    """
    if not (out / SUMS).is_file():
        raise InputError(f"{out / SUMS}: no such file; are the shards finished?")
    lines = (out / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    sums = dict(line.split("  ", 1)[::-1] for line in lines if re.fullmatch(r"[0-9a-f]{64}  .+", line))
    if len(sums) != len(lines) or not sums:
        raise InputError(f"{out / SUMS}: is damaged; each line should be a checksum and a file's name")

    def problem(name: str) -> str:
        try:
            return "" if file_hash(out / name) == sums[name] else f"{name} is not what was written"
        except OSError as error:
            return f"{name}: {error.strerror}"

    with ThreadPoolExecutor(jobs) as pool:
        found = tqdm(pool.map(problem, sums), total=len(sums), unit="file", desc="verifying", dynamic_ncols=True)
        problems = [text for text in found if text]
    if problems:
        raise InputError(
            f"{out}: {len(problems)} of {len(sums)} files are damaged: {'; '.join(problems[:5])}{' …' if len(problems) > 5 else ''}. "
            "Delete them and call again without --verify: they are made anew"
        )
    print(f"{len(sums)} files in {out} are what was written")


if __name__ == "__main__":
    sys.exit(main())
