"""Turn a corpus of audio-visual clips on disk into the manifest that pre-training reads.

A command finds its corpus's clips (`FoundClips`). Then `prepare` reads their headers, writes the manifest and the list
of what was left out, and prints counts. Paths of files are strings relative to the corpus's root, because a million of
them must fit in memory.
"""

import argparse
import filecmp
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mmpt.pretrain.manifest import SPLITS, Clip, write_manifest
from mmpt.scripts.prepare.clip_command import CorpusDescription
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import replacing, write_text

if TYPE_CHECKING:
    from mmpt.scripts.prepare.media_headers import Header


class Candidate(NamedTuple):
    """A file that should be a clip."""

    id: str
    video: str
    sound: str  # file to use if the video has no sound; "" if there is none
    split: str
    group: str


@dataclass
class FoundClips:
    """What a corpus's root holds."""

    candidates: list[Candidate] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)  # file and reason

    def keep_first(self) -> None:
        """Sort the candidates by id. Of those with the same id, keep the one in the fewest folders, first by name."""
        self.candidates.sort(key=lambda clip: (clip.id, clip.video.count("/"), clip.video))
        unique: list[Candidate] = []
        for clip in self.candidates:
            if unique and unique[-1].id == clip.id:
                self.left_out.append((clip.video, "second copy of a clip"))
            else:
                unique.append(clip)
        self.candidates = unique

    def hold_out(self, dev_percent: float) -> None:
        """Move a share of the groups from train to dev, chosen by a hash of their names; at least one.

        Training clips whose group is also in test are left out, so that nothing in test was seen in training.
        """
        tested = {clip.group for clip in self.candidates if clip.split == "test"}
        draws = {
            clip.group: draw_percent(clip.group)
            for clip in self.candidates
            if clip.split == "train" and clip.group not in tested
        }
        dev = {group for group, drawn in draws.items() if drawn < dev_percent}
        dev = dev or {min(draws, key=lambda group: draws[group], default="")}
        kept = []
        for clip in self.candidates:
            if clip.split == "train" and clip.group in tested:
                self.left_out.append((clip.video, "for training, but its group is in test"))
            else:
                kept.append(clip._replace(split="dev") if clip.split == "train" and clip.group in dev else clip)
        self.candidates = kept


def draw_percent(name: str) -> float:
    """Return a number from 0 to 100 that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64 * 100


def media_files(root: Path, suffixes: tuple[str, ...], found: FoundClips) -> Iterator[str]:
    """Yield the paths, relative to `root`, of the files with one of these suffixes.

    Links are followed, and every folder is read once; hidden folders are skipped. Pipes and folders with such a suffix,
    and names that no manifest can hold, are left out.

    Raises:
        OSError: a folder cannot be read.
    """
    from mmpt.upstream.progress import Progress

    folders, seen = [""], set()
    with Progress(desc="looking for files", unit="file", dynamic_ncols=True, leave=False) as bar:
        while folders:
            folder = folders.pop()
            status = os.stat(f"{root}/{folder}")
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(f"{root}/{folder}") as listing:
                entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
            for entry in entries:
                path, is_media = folder + entry.name, entry.name.endswith(suffixes)
                if is_media and not entry.name.isprintable():
                    found.left_out.append((path, "unprintable name"))
                elif is_media and not entry.is_file():
                    found.left_out.append((path, "not a regular file"))
                elif is_media:
                    bar.update()
                    yield path
                elif entry.name.isprintable() and not entry.name.startswith(".") and entry.is_dir():
                    folders.append(path + "/")


def prepare(corpus: CorpusDescription, found: FoundClips, options: argparse.Namespace) -> None:
    """Read the candidates' headers and write the files of a command's --out.

    Raises:
        InputError: there is no candidate, or no usable one; another manifest is there; another call is writing it.
    """
    from mmpt.scripts.prepare.media_headers import Journal, read_headers
    from mmpt.training.sole_use import sole_use

    found.keep_first()
    if not found.candidates:
        raise InputError(
            f"{options.root}: no clip of {corpus.name} found (such as {corpus.clip}), {len(found.left_out)} "
            "other media files; see --help for the layout"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    with sole_use(options.out), Journal(options.out / "probed.jsonl") as journal:
        headers = read_headers(
            options.root, [clip.video for clip in found.candidates], journal, options.jobs, "reading headers"
        )
        sounds = [clip.sound for clip in found.candidates if clip.sound and isinstance(headers[clip.video].audio, str)]
        if sounds:
            headers |= read_headers(options.root, sounds, journal, options.jobs, "reading headers of sound files")
        lengths: dict[str, list[float]] = {split: [] for split in SPLITS}
        write_files(options, found, usable_clips(corpus, options.root, found, headers, lengths))
    print_counts(options, found, lengths)


def usable_clips(
    corpus: CorpusDescription,
    root: Path,
    found: FoundClips,
    headers: "dict[str, Header]",
    lengths: dict[str, list[float]],
) -> Iterator[Clip]:
    """Yield the usable candidates; append their seconds to `lengths`, by split, and the others to `found.left_out`."""
    for clip in found.candidates:
        duration_s, problem = duration_or_problem(clip, headers)
        if problem:
            found.left_out.append((clip.video, problem))
            continue
        lengths[clip.split].append(duration_s)
        video = root / clip.video
        audio = root / clip.sound if isinstance(headers[clip.video].audio, str) else video
        yield Clip(clip.id, video, audio, 0.0, duration_s, clip.split, corpus.name, clip.group)


def duration_or_problem(clip: Candidate, headers: "dict[str, Header]") -> tuple[float, str]:
    """Return the clip's duration in seconds, and why it is unusable, or ""."""
    video_s, audio_s = headers[clip.video].video, headers[clip.video].audio
    if isinstance(video_s, str):
        return 0.0, video_s
    if isinstance(audio_s, str) and clip.sound:
        audio_s = headers[clip.sound].audio
        if isinstance(audio_s, str):
            return 0.0, f"its sound file: {audio_s}"
    return (0.0, audio_s) if isinstance(audio_s, str) else (min(video_s, audio_s), "")


def write_files(options: argparse.Namespace, found: FoundClips, clips: Iterator[Clip]) -> None:
    """Write left_out.tsv and manifest.tsv, unless another manifest would be lost."""
    manifest, left_out = options.out / "manifest.tsv", options.out / "left_out.tsv"
    with replacing(manifest) as new:
        number = write_manifest(new, clips)
        if manifest.exists() and not options.fresh and not filecmp.cmp(manifest, new, shallow=False):
            raise InputError(
                f"{manifest}: is there already, with other content; --fresh replaces it (or choose another --out)"
            )
        lines = (
            f"{name if name.isprintable() else ascii(name)[1:-1]}\t{reason}\n"
            for name, reason in sorted(found.left_out)
        )
        write_text(left_out, "file\treason\n" + "".join(lines))
        if not number:
            raise InputError(
                f"{options.root}: none of {len(found.candidates)} clips can be used; see {left_out} for the reasons"
            )


def print_counts(options: argparse.Namespace, found: FoundClips, lengths: dict[str, list[float]]) -> None:
    """Print how many clips there are in each split, what was left out, and the next command."""
    print(f"{'split':8}{'clips':>12}{'hours':>12}")
    for split, seconds in lengths.items():
        print(f"{split:8}{len(seconds):12}{sum(seconds) / 3600:12.2f}")
    if found.left_out:
        print(f"left out: {len(found.left_out)}, listed in {options.out / 'left_out.tsv'}")
        for reason, number in Counter(reason for _, reason in found.left_out).most_common():
            print(f"{number:12}  {reason}")
    lacking = [split for split in ("train", "dev") if not lengths[split]]
    if lacking:
        print(f"note: no clip in {' and none in '.join(lacking)}, which pre-training needs")
    print(f"Next: python pretrain/run.py --data {options.out / 'manifest.tsv'}")
