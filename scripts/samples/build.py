#!/usr/bin/env python3
"""Build the sample corpora: samples/ → the folders that the published corpora have, for every stage to run on.

DIR gets audio-visual clips (av), MuST-C (must_c), Speech Commands, Fluent Speech Commands, LibriSpeech and
two-speaker mixtures (diarization), all with one split; its README.md says what is real and what is rendered.
It takes about a minute on two cores and 210 MB. The same samples give the same bytes. DIR appears only when it is
complete; called again, the command finds it complete and does nothing.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import soundfile

from mmpt.scripts.samples import (
    av_clips,
    build_manifest,
    diarization,
    fluent_commands,
    librispeech,
    must_c,
    readme,
    speech_commands,
    words,
)
from mmpt.scripts.samples.build_folder import open_workshop
from mmpt.scripts.samples.provenance import write_provenance
from mmpt.scripts.samples.recordings import Store
from mmpt.scripts.samples.tables import TABLES, Recording, read_recordings
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
DECODED = ".decoded"


def build_samples(out: Path, samples: Path, jobs: int, fresh: bool = False) -> str:
    """Build `out` from `samples` unless it is there already; returns what was done, in one line.

    Raises InputError for sources that cannot be used, and for an `out` that is something else than this build.
    """
    final_root = out.resolve()
    recordings = read_recordings(samples)
    sources = build_manifest.hash_sources(samples, source_files(recordings, samples))
    if not fresh and is_built(final_root, sources):
        return f"{out}: built already, nothing to do"
    refuse_foreign(final_root)

    started = time.monotonic()
    with open_workshop(final_root) as workshop:
        root = workshop / final_root.name
        build_corpora(recordings, root, samples, final_root, jobs)
        build_manifest.write_stamp(root, sources, final_root)
        put_in_place(root, final_root, workshop, sources)
    return f"{out}: built in {time.monotonic() - started:.0f} s"


def source_files(recordings: list[Recording], samples: Path) -> list[str]:
    """Paths inside samples/ of all files that a build reads; InputError if one is missing."""
    names = [item.source for item in recordings]
    names += [*TABLES, *speech_commands.NOISE_SOURCES, *words.LEXICON_FILES, *readme.LICENCES]
    for name in names:
        if not (samples / name).is_file():
            raise InputError(f"{samples / name}: missing; restore the repository's samples folder")
    return names


def build_corpora(recordings: list[Recording], root: Path, samples: Path, final_root: Path, jobs: int) -> None:
    """Write every corpus, provenance.tsv and README.md under root, which is to become final_root."""
    store = Store(samples, root / DECODED)
    with Workers(jobs) as workers:
        workers.run("decoding", store.fill, [item.source for item in recordings] + list(speech_commands.NOISE_SOURCES))
        built = []
        for corpus in (av_clips, must_c, speech_commands, fluent_commands, librispeech):
            built += corpus.build(recordings, root, store, workers)
        built += diarization.build(recordings, root, store, workers, final_root)
    shutil.rmtree(store.folder)
    write_provenance(root, built)
    readme.write_readme(root, built, samples)


def is_built(root: Path, sources: str) -> bool:
    """Whether root is a whole build of these sources by this builder; mends wav.scp if the folder was moved."""
    found = build_manifest.read_stamp(root)
    if found is None or (found.version, found.sources) != (build_manifest.VERSION, sources):
        return False
    if build_manifest.count_files(root) < found.files:  # more is no fault: tools leave caches beside the data they read
        return False
    if found.root != str(root):
        diarization.write_wav_scp(root, root)
        build_manifest.write_stamp(root, sources, root)
    return True


def refuse_foreign(root: Path) -> None:
    """InputError unless root may be written: absent, empty, or samples that were built before (by another version, say)."""
    if not os.path.lexists(root) or (root.is_dir() and not any(root.iterdir())):
        return
    if build_manifest.read_stamp(root) is None:
        raise InputError(f"{root}: exists and is not a built samples folder; nothing was touched, choose another --out")


def put_in_place(root: Path, final_root: Path, workshop: Path, sources: str) -> None:
    """Rename the finished folder to its place; what was there moves into the workshop and goes with it."""
    if final_root.is_dir():
        final_root.rename(workshop / "replaced")
    try:
        root.rename(final_root)
    except OSError:
        # Another build may have finished first; the same result is as good as ours.
        if not is_built(final_root, sources):
            raise InputError(f"{final_root}: appeared while it was being built; look at it, then start again") from None


def interrupt(*_) -> None:
    """Make a termination signal an exception, so that the half-built folder is cleared away."""
    raise KeyboardInterrupt


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python scripts/samples/build.py --out data/samples",
    )
    add = parser.add_argument
    cores = len(os.sched_getaffinity(0))
    add("--out", type=Path, required=True, metavar="DIR", help="the folder to build")
    add("--jobs", type=int, default=cores, metavar="N", help="processes (default: one for each core, %(default)s)")
    add("--fresh", action="store_true", help="build anew over built samples (nothing else is ever deleted)")
    recordings = REPOSITORY / "samples"
    add("--samples", type=Path, default=recordings, metavar="DIR", help="the recordings (default: the repository's)")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, not {options.jobs}")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        print(build_samples(options.out, options.samples, options.jobs, options.fresh))
    except BrokenProcessPool:
        print("build.py: a worker process was killed (out of memory?); try --jobs 1", file=sys.stderr)
        return 2
    except (InputError, OSError, soundfile.SoundFileError) as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("build.py: interrupted; nothing was left behind", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
