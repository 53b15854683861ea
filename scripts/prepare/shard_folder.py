"""A folder of shards: written shard by shard, continued after an interruption, verified by checksums."""

import json
import re
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

from mmpt.pretrain.manifest import SPLITS, Clip, read_manifest, used_s
from mmpt.pretrain.shard_index import COLUMNS, INDEX, index_line
from mmpt.pretrain.shared_memory import needs
from mmpt.scripts.prepare.shard_making import FORMAT, Packed, ShardWriter, packed_clips
from mmpt.training.sole_use import LOCK, sole_use
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import remove_abandoned, replacing, write_text
from mmpt.upstream.mmpt_av.atomic import TEMPORARY_SUFFIX
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.progress import Progress

MADE_FROM, JOURNAL, SUMS, SKIPPED = "shards.json", "finished.jsonl", "SHA256SUMS", "skipped.jsonl"
OURS = re.compile(
    rf"{'|'.join(map(re.escape, (MADE_FROM, JOURNAL, SUMS, SKIPPED, INDEX)))}|({'|'.join(SPLITS)})-\d{{6}}\.tar"
)


@dataclass(frozen=True)
class ShardForm:
    """What determines the bytes of the shards, together with the manifest."""

    short_side: int
    quality: int
    clips_per_shard: int


def make_shards(
    manifest: Path, out: Path, form: ShardForm, jobs: int = 1, max_bad_share: float = 0.05, fresh: bool = False
) -> None:
    """Write the shards that are missing, then the index and the checksums.

    Raises:
        InputError: the manifest does not fit, the folder holds something else or is in use, or too many clips are
            unreadable.
    """
    clips = read_manifest(manifest)
    made_from = {"format": FORMAT, "manifest_sha256": file_hash(manifest), **asdict(form)}
    refuse_foreign(out)
    out.mkdir(parents=True, exist_ok=True)
    with sole_use(out):
        prepare_folder(out, made_from, fresh)
        write_missing_shards(clips, out, form, jobs, max_bad_share)


def files_in(out: Path) -> list[str]:
    """Return the names of the files in a folder, without the lock and the remains of killed calls."""
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    return [name for name in names if name != LOCK and not (name[0] == "." and name.endswith(TEMPORARY_SUFFIX))]


def refuse_foreign(out: Path) -> None:
    """Raise InputError if a folder holds anything but shards."""
    there = files_in(out)
    strange = [name for name in there if not OURS.fullmatch(name)]
    if there and (strange or MADE_FROM not in there):
        raise InputError(f"{out}: holds other files ({(strange or there)[0]}); name a new folder with --out")


def prepare_folder(out: Path, made_from: dict, fresh: bool) -> None:
    """Prepare the folder: it is new, or its shards have the same manifest and form, or `fresh` deletes them.

    Raises:
        InputError: the shards have another manifest or form.
    """
    remove_abandoned(out)
    there = files_in(out)
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
    # The index first, which would name shards that are gone; last what makes the folder ours.
    for name in sorted(there, key=lambda name: (name == MADE_FROM, name not in (INDEX, SUMS))):
        (out / name).unlink()
    write_text(out / MADE_FROM, json.dumps(made_from, indent=1) + "\n")


def write_missing_shards(clips: list[Clip], out: Path, form: ShardForm, jobs: int, max_bad_share: float) -> None:
    """Write the missing shards, the index and the checksums of a prepared folder."""
    plan = plan_shards(clips, form.clips_per_shard)
    finished = read_journal(out, plan)
    todo = {name: part for name, part in plan.items() if name not in finished}
    started, count = time.monotonic(), sum(map(len, todo.values()))
    if todo:  # only a complete folder has an index
        for name in (INDEX, SUMS):
            (out / name).unlink(missing_ok=True)
    results = packed_clips(chain.from_iterable(todo.values()), jobs, form.short_side, form.quality)
    with Progress(
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
            f"{skipped} of {len(clips)} clips cannot be read, more than --max-bad-share {max_bad_share:g}; see "
            f"{out / SKIPPED}. Finished shards are kept: allow a larger share, or repair the clips and use --fresh"
        )
    write_index(out, entries)
    report(out, clips, entries, f", {count / (time.monotonic() - started):.1f} clips/s" if count else "")


def plan_shards(clips: list[Clip], size: int) -> dict[str, list[Clip]]:
    """Return which clips, in the manifest's order, go into which shard: train-000000 …, dev-000000 …."""
    plan: dict[str, list[Clip]] = {}
    for split in SPLITS:
        part = [clip for clip in clips if clip.split == split]
        plan |= {f"{split}-{start // size:06d}": part[start : start + size] for start in range(0, len(part), size)}
    return plan


def read_journal(out: Path, plan: dict[str, list[Clip]]) -> dict[str, dict]:
    """Return the journal entries of finished shards, and rewrite the journal with them alone.

    A line that a kill cut off, or whose shard is missing, does not count.
    """
    journal = out / JOURNAL
    lines = journal.read_text(encoding="utf-8", errors="replace").splitlines() if journal.is_file() else []
    finished = {}
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        path = out / f"{entry['shard']}.tar"
        is_whole = not entry["index"] or (path.is_file() and path.stat().st_size == entry["bytes"])
        if entry["shard"] in plan and is_whole:
            finished[entry["shard"]] = entry
    write_text(journal, "".join(map(journal_line, finished.values())))
    return finished


def journal_line(entry: dict) -> str:
    """Return a line of the journal."""
    return json.dumps(entry, ensure_ascii=False) + "\n"


def write_shard(path: Path, clips: list[Clip], results: Generator[Packed | str, None, None], bar: Progress) -> dict:
    """Write one shard, unless none of its clips is readable.

    Returns:
        Its journal entry: checksum, index lines, and what was skipped.
    """
    skipped: list[dict[str, str]] = []
    readable = readable_clips(clips, results, bar, skipped)
    first = next(readable, None)
    if first is None:
        return {"shard": path.stem, "bytes": 0, "sha256": sha256().hexdigest(), "index": [], "skipped": skipped}
    with replacing(path, sync=True) as temporary, temporary.open("wb") as file:
        writer = ShardWriter(path, file)
        for clip, packed in chain([first], readable):
            writer.add(clip, packed)
        writer.finish()
    return {
        "shard": path.stem,
        "bytes": writer.size,
        "sha256": writer.sha256,
        "index": [index_line(clip) for clip in writer.clips],
        "skipped": skipped,
    }


def readable_clips(
    clips: list[Clip], results: Iterator[Packed | str], bar: Progress, skipped: list[dict[str, str]]
) -> Iterator[tuple[Clip, Packed]]:
    """Yield each clip with its content; add the unreadable ones, with the reason, to `skipped`."""
    for clip in clips:
        packed = next(results)
        if isinstance(packed, str):
            skipped.append({"id": clip.id, "reason": packed})
        else:
            yield clip, packed
        bar.update()


def list_skipped(out: Path, entries: list[dict]) -> int:
    """Write skipped.jsonl; return the number of its lines."""
    skipped = list(chain.from_iterable(entry["skipped"] for entry in entries))
    write_text(out / SKIPPED, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in skipped))
    return len(skipped)


def write_index(out: Path, entries: list[dict]) -> None:
    """Write the checksums of all files, and last the index, which makes the shards usable.

    The journal is rewritten in the order of the shards.
    """
    write_text(out / JOURNAL, "".join(map(journal_line, entries)))
    rows = chain.from_iterable(entry["index"] for entry in entries)
    index = "".join(line + "\n" for line in ["\t".join(COLUMNS), *rows])
    sums = {f"{entry['shard']}.tar": entry["sha256"] for entry in entries if entry["index"]}
    sums |= {name: sha256((out / name).read_bytes()).hexdigest() for name in (MADE_FROM, SKIPPED)}
    sums |= {INDEX: sha256(index.encode()).hexdigest()}
    write_text(out / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    write_text(out / INDEX, index)


def report(out: Path, clips: list[Clip], entries: list[dict], speed: str) -> None:
    """Print how many clips there are, how large they are, what training on them needs, and the next command."""
    seconds = {clip.id: used_s(clip.duration_s) for clip in clips}
    rows = [dict(zip(COLUMNS, line.split("\t"))) for entry in entries for line in entry["index"]]
    for split in SPLITS:
        its = [row for row in rows if row["split"] == split]
        if its:
            print(f"{split}: {len(its)} clips in {len({row['shard'] for row in its})} shards")
    skipped = sum(len(entry["skipped"]) for entry in entries)
    if skipped:
        print(f"skipped: {skipped} clips, listed in {out / SKIPPED}")
    if rows:
        total, hours = sum(entry["bytes"] for entry in entries), sum(seconds[row["id"]] for row in rows) / 3600
        sound = sum(int(row["audio_bytes"]) for row in rows) / total
        print(
            f"{total / 1e9:.3g} GB: {total / len(rows) / 1e6:.3g} MB per clip ({sound:.0%} of it sound), "
            f"{total / hours / 1e9:.3g} GB per hour{speed}"
        )
        print(*needs(sum(int(row["picture_bytes"]) for row in rows) / (3600 * hours)), sep="\n")
    print(f"Next: python pretrain/run.py --data {out}")


def verify(out: Path, jobs: int) -> None:
    """Compare every file with its checksum.

    Raises:
        InputError: there are no checksums, or files are missing or damaged.
    """
    if not (out / SUMS).is_file():
        raise InputError(f"{out / SUMS}: no such file; are the shards finished?")
    lines = (out / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    sums = dict(checksums(lines))
    if len(sums) != len(lines) or not sums:
        raise InputError(f"{out / SUMS}: is damaged; each line should be a checksum and a file's name")

    def problem(name: str) -> str:
        try:
            return "" if file_hash(out / name) == sums[name] else f"{name} is not what was written"
        except OSError as error:
            return f"{name}: {error.strerror}"

    with ThreadPoolExecutor(jobs) as pool:
        found = Progress(pool.map(problem, sums), total=len(sums), unit="file", desc="verifying", dynamic_ncols=True)
        problems = [text for text in found if text]
    if problems:
        more = " …" if len(problems) > 5 else ""
        advice = "Delete them and call again without --verify, which makes them again"
        if any(text.startswith(MADE_FROM) for text in problems):
            advice = "Call again without --verify and with --fresh, which makes all shards again"
        raise InputError(
            f"{out}: {len(problems)} of {len(sums)} files are damaged: {'; '.join(problems[:5])}{more}. {advice}"
        )
    print(f"{len(sums)} files in {out} are what was written")


def checksums(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the checksum of each line that has both."""
    for line in lines:
        if match := re.fullmatch(r"([0-9a-f]{64})  (.+)", line):
            yield match[2], match[1]
