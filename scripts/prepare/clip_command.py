"""The command line that the commands for audio-visual corpora share. Imports neither torch nor PyAV."""

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path

from mmpt.upstream.errors import InputError

HELP = """\
what ROOT holds:
{layout}
what DIR gets:
  manifest.tsv   for `python pretrain/run.py --data DIR/manifest.tsv`: tab separated, one clip per line, sorted by id
      id          name of the clip
      video       file with the pictures: an absolute path, or relative to DIR if it lies inside DIR
      audio       file with the sound, often the same one
      start_s     where the clip begins in both files, in seconds; 0, since the files are cut
      duration_s  for how long they have both pictures and sound, in seconds
      split       train, dev or test: {splits}
      set         {name}
      group       {group}
  left_out.tsv   whatever looked like a clip and is not in the manifest: file (in ROOT) and reason
  probed.jsonl   the headers of the files. An interrupted call continues from here when it is repeated, and a later
                 one reads only files with a new size or time. Delete it to have all files read again
  .lock          locked while a call writes here

example:
  {example}
"""


@dataclass(frozen=True)
class CorpusDescription:
    """What the help of a command tells about its corpus."""

    name: str  # also the manifest's column `set`
    layout: str  # tree of its folders
    clip: str  # path of one file, as an example
    splits: str  # the splits of the manifest
    group: str  # what the manifest's column `group` holds
    example: str  # a call


def command_line(purpose: str, corpus: CorpusDescription) -> argparse.ArgumentParser:
    """Return a parser of the options that all corpora share. It raises InputError for unusable values."""
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
        help="files to read at the same time (default: one per core, %(default)s; more are faster on a network disk)",
    )
    parser.add_argument("--fresh", action="store_true", help="replace a manifest.tsv that has other content")
    return parser


def offer_dev_percent(parser: argparse.ArgumentParser, groups: str) -> None:
    """Add the option of corpora that publish no validation split; `groups` names what is held out, in the plural."""
    parser.add_argument(
        "--dev-percent",
        type=percent,
        default=1.0,
        metavar="P",
        help=f"share of the training {groups} that becomes dev, by a hash of their names; at least one "
        "(default: %(default)s)",
    )


def corpus_folder(text: str) -> Path:
    """Return the value of --root."""
    folder = Path(text).absolute()
    if not folder.is_dir():
        raise InputError(f"--root {text}: no such folder; it must be the folder of the corpus")
    if not str(folder).isprintable():
        raise InputError(f"--root {str(folder)!r}: a manifest cannot hold this path; rename the folder")
    return folder


def number_of_jobs(text: str) -> int:
    """Return the value of --jobs."""
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--jobs {text}: must be a whole number, at least 1")
    return int(text)


def percent(text: str) -> float:
    """Return the value of --dev-percent."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 100:
        raise InputError(f"--dev-percent {text}: must be a number between 0 and 100")
    return value
