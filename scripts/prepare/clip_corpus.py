"""From a corpus of audio-visual clips on disk to the manifest that pre-training reads: what the commands in this folder share.

A command says where its corpus keeps clips (`Found`); here their headers are read, and the manifest, the list of what was
left out and the counts are written. Paths of files are strings below the corpus' root: a million of them must fit in memory.
"""

import argparse
import filecmp
import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from mmpt.pretrain.manifest import SPLITS, Clip, write_manifest
from mmpt.scripts.prepare.media_headers import Header, Journal, read_headers
from mmpt.upstream.errors import InputError

HELP = """\
what ROOT holds:
{layout}
what DIR gets:
  manifest.tsv   for `python pretrain/run.py --data DIR/manifest.tsv`: tab separated, one clip a line, sorted by id
      id          names the clip
      video       file with the pictures: an absolute path, or relative to DIR where it lies inside DIR
      audio       file with the sound, often the same one
      start_s     where the clip begins in both files, in seconds; 0, since the files are cut
      duration_s  for how long they have both pictures and sound, in seconds
      split       train, dev or test: {splits}
      set         {name}
      group       {group}
  left_out.tsv   whatever looked like a clip and is not in the manifest: file (below ROOT) and reason
  probed.jsonl   the headers of the files. An interrupted call goes on from here when it is given again, and a later one
                 reads only what has a new size or time. Delete it to have all files read again

example:
  {example}
"""


@dataclass(frozen=True)
class Corpus:
    """What a command says of its corpus: `name` for the column set, the rest for people.

    layout: its tree. clip: the path of one file, as an example. splits, group: what these columns hold. example: a call.
    """

    name: str
    layout: str
    clip: str
    splits: str
    group: str
    example: str


class Candidate(NamedTuple):
    """A file that should be a clip. sound: a file of its own for the sound, taken if the video has none, or ""."""

    id: str
    video: str
    sound: str
    split: str
    group: str


@dataclass
class Found:
    """What lies below a corpus' root: candidates, and files that cannot be clips with the reason."""

    candidates: list[Candidate] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def keep_first(self) -> None:
        """Sorts the candidates by id. Of those with the same id the one with the fewest folders stays, then the first by name."""
        self.candidates.sort(key=lambda clip: (clip.id, clip.video.count("/"), clip.video))
        unique = []
        for clip in self.candidates:
            if unique and unique[-1].id == clip.id:
                self.left_out.append((clip.video, "second copy of a clip"))
            else:
                unique.append(clip)
        self.candidates = unique

    def hold_out(self, dev_percent: float) -> None:
        """Moves a share of the groups from train to dev: by a hash of their names, at least one, however few there are.

        Clips in train whose group is in test too are left out, so that nothing that is tested on was seen.
        """
        tested = {clip.group for clip in self.candidates if clip.split == "test"}
        draws = {
            clip.group: draw_percent(clip.group)
            for clip in self.candidates
            if clip.split == "train" and clip.group not in tested
        }
        dev = {group for group, drawn in draws.items() if drawn < dev_percent} or {
            min(draws, key=draws.get, default="")
        }
        kept = []
        for clip in self.candidates:
            if clip.split == "train" and clip.group in tested:
                self.left_out.append((clip.video, "for training, but its group is in test"))
            else:
                kept.append(clip._replace(split="dev") if clip.split == "train" and clip.group in dev else clip)
        self.candidates = kept


def draw_percent(name: str) -> float:
    """A number from 0 to 100 that hangs on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64 * 100


def media_files(root: Path, suffixes: tuple[str, ...], found: Found) -> Iterator[str]:
    """Paths below root of the files with one of these endings. Links are followed and every folder is read once; hidden folders
    are passed over. Pipes, folders and whatever else bears a file's name, and names that no manifest can hold, are left out.

    Raises:
        OSError: a folder cannot be read.
    """
    folders, seen = [""], set()
    with tqdm(desc="looking for files", unit="file", dynamic_ncols=True, leave=False, disable=None) as bar:
        while folders:
            folder = folders.pop()
            identity = os.stat(f"{root}/{folder}")
            if (identity.st_dev, identity.st_ino) in seen:
                continue
            seen.add((identity.st_dev, identity.st_ino))
            with os.scandir(f"{root}/{folder}") as entries:
                entries = sorted(entries, key=lambda entry: entry.name, reverse=True)
            for entry in entries:
                path, is_media = folder + entry.name, entry.name.endswith(suffixes)
                if is_media and not (entry.name.isprintable() and entry.is_file()):
                    found.left_out.append(
                        (path, "not a regular file" if entry.name.isprintable() else "unprintable name")
                    )
                elif is_media:
                    bar.update()
                    yield path
                elif entry.name.isprintable() and not entry.name.startswith(".") and entry.is_dir():
                    folders.append(path + "/")


def prepare(corpus: Corpus, found: Found, options: argparse.Namespace) -> None:
    """Reads the candidates' headers and writes the files of a command's --out.

    Raises:
        InputError: there is no candidate or none is usable, or the manifest is there already with other content.
    """
    found.keep_first()
    if not found.candidates:
        raise InputError(
            f"{options.root}: no clip of {corpus.name} found (such as {corpus.clip}), {len(found.left_out)} "
            "other media files; see --help for the layout"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    with Journal(options.out / "probed.jsonl") as journal:
        headers = read_headers(
            options.root, [clip.video for clip in found.candidates], journal, options.jobs, "reading headers"
        )
        sounds = [clip.sound for clip in found.candidates if clip.sound and isinstance(headers[clip.video].audio, str)]
        if sounds:
            headers |= read_headers(options.root, sounds, journal, options.jobs, "reading headers of sound files")
    lengths = {split: [] for split in SPLITS}
    put_in_place(options, found, usable_clips(corpus, options.root, found, headers, lengths))
    print_counts(options, found, lengths)


def usable_clips(
    corpus: Corpus, root: Path, found: Found, headers: dict[str, Header], lengths: dict[str, list[float]]
) -> Iterator[Clip]:
    """The candidates that can be used; their lengths in seconds go to `lengths`, by split, and the others to found.left_out."""
    for clip in found.candidates:
        duration_s, problem = judge(clip, headers)
        if problem:
            found.left_out.append((clip.video, problem))
            continue
        lengths[clip.split].append(duration_s)
        video = root / clip.video
        audio = root / clip.sound if isinstance(headers[clip.video].audio, str) else video
        yield Clip(clip.id, video, audio, 0.0, duration_s, clip.split, corpus.name, clip.group)


def judge(clip: Candidate, headers: dict[str, Header]) -> tuple[float, str]:
    """(length in seconds, why it is of no use, or "")."""
    video_s, audio_s = headers[clip.video].video, headers[clip.video].audio
    if isinstance(video_s, str):
        return 0.0, video_s
    if isinstance(audio_s, str) and clip.sound:
        audio_s = headers[clip.sound].audio
        if isinstance(audio_s, str):
            return 0.0, f"its sound file: {audio_s}"
    return (0.0, audio_s) if isinstance(audio_s, str) else (min(video_s, audio_s), "")


def put_in_place(options: argparse.Namespace, found: Found, clips: Iterator[Clip]) -> None:
    """Writes left_out.tsv and manifest.tsv, unless another manifest would be lost."""
    manifest, new = options.out / "manifest.tsv", options.out / "manifest.tsv.new"
    try:
        number = write_manifest(new, clips)
        if manifest.exists() and not options.fresh and not filecmp.cmp(manifest, new, shallow=False):
            raise InputError(
                f"{manifest}: is there already, with other content; --fresh replaces it (or choose another --out)"
            )
        write_left_out(options.out / "left_out.tsv", found.left_out)
        if not number:
            raise InputError(
                f"{options.root}: none of {len(found.candidates)} clips can be used; {options.out / 'left_out.tsv'} says why"
            )
        new.replace(manifest)
    finally:
        new.unlink(missing_ok=True)


def write_left_out(path: Path, left_out: list[tuple[str, str]]) -> None:
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with half.open("w", encoding="utf-8", newline="") as file:
            file.write("file\treason\n")
            file.writelines(
                f"{name if name.isprintable() else ascii(name)[1:-1]}\t{reason}\n" for name, reason in sorted(left_out)
            )
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def print_counts(options: argparse.Namespace, found: Found, lengths: dict[str, list[float]]) -> None:
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


def command_line(purpose: str, corpus: Corpus) -> argparse.ArgumentParser:
    """The options that all corpora share. Its parse_args raises InputError for values that cannot be used."""
    texts = {name: getattr(corpus, name) for name in ("layout", "splits", "name", "group", "example")}
    parser = argparse.ArgumentParser(
        description=purpose, epilog=HELP.format(**texts), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--root", type=corpus_folder, required=True, metavar="ROOT", help="the folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the manifest goes")
    parser.add_argument(
        "--jobs",
        type=number_of_jobs,
        default=cores,
        metavar="N",
        help="files read at the same time (default: one for each core, %(default)s; on a network disk more help)",
    )
    parser.add_argument("--fresh", action="store_true", help="replace a manifest.tsv that is there with other content")
    return parser


def offer_dev_percent(parser: argparse.ArgumentParser, groups: str) -> None:
    """The option of the corpora that publish no validation split. groups: what is held out, in the plural."""
    parser.add_argument(
        "--dev-percent",
        type=percent,
        default=1.0,
        metavar="P",
        help=f"share of the training {groups} that becomes dev, by a hash of the name; at least one (default: %(default)s)",
    )


def corpus_folder(text: str) -> Path:
    folder = Path(text).absolute()
    if not folder.is_dir():
        raise InputError(f"--root {text}: no such folder; it must be the folder of the corpus")
    if not str(folder).isprintable():
        raise InputError(f"--root {str(folder)!r}: a manifest cannot hold this path; rename the folder")
    return folder


def number_of_jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--jobs {text}: must be a whole number, at least 1")
    return int(text)


def percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 100:
        raise InputError(f"--dev-percent {text}: must be a number between 0 and 100")
    return value
