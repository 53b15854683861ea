"""Build all sample corpora into a folder that appears only when it is complete."""

import os
import shutil
import time
from pathlib import Path

from mmpt.scripts.samples import (
    av_clips,
    build_manifest,
    diarization,
    fluent_commands,
    librispeech,
    mrt_intents,
    mrt_keywords,
    readme,
    sample_must_c,
    speech_commands,
    words,
)
from mmpt.scripts.samples.build_folder import open_build_folder
from mmpt.scripts.samples.pack_tables import PACK_TABLES, read_packs, read_word_times
from mmpt.scripts.samples.packs import file_of
from mmpt.scripts.samples.provenance import BuiltFile, listed_files, write_provenance
from mmpt.scripts.samples.recordings import Store
from mmpt.scripts.samples.size import FULL, SMALL, choose
from mmpt.scripts.samples.tables import TABLES, Recording, read_recordings
from mmpt.scripts.samples.texts import drop_repeated_texts
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.errors import InputError

DECODED = ".decoded"
CORPORA = (av_clips, sample_must_c, speech_commands, fluent_commands, librispeech, mrt_keywords, mrt_intents)


def build_samples(out: Path, samples: Path, jobs: int, full: bool = False, fresh: bool = False) -> str:
    """Build `out` from `samples` unless it is complete already; return one line that reports what was done.

    A full folder stays full: it is rebuilt full where it is out of date, even if a small one would do.

    Raises:
        InputError: the sources cannot be used, or `out` is something else than built samples.
    """
    final_root = out.resolve()
    kept = drop_repeated_texts([*read_recordings(samples), *read_packs(samples)])
    sources = build_manifest.hash_sources(samples, source_files(kept.recordings, samples))
    commands = {time.clip for time in read_word_times(samples) if time.word in speech_commands.COMMANDS}
    size = FULL if full or is_full(final_root) else SMALL
    if not fresh and is_built(final_root, sources, size):
        return f"{out}: built already ({size}), nothing to do"
    refuse_foreign(final_root)

    started = time.monotonic()
    with open_build_folder(final_root) as build_folder:
        root = build_folder / final_root.name
        build_corpora(choose(kept.recordings, size, commands), kept.dropped, root, samples, final_root, jobs, size)
        build_manifest.write_build_manifest(root, sources, size, final_root)
        put_in_place(root, final_root, build_folder, sources, size)
    return f"{out}: built in {time.monotonic() - started:.0f} s ({size})"


def is_full(root: Path) -> bool:
    """Return True if `root` holds a full build, of this or another version."""
    manifest = build_manifest.read_build_manifest(root)
    return manifest is not None and manifest.size == FULL


def source_files(recordings: list[Recording], samples: Path) -> list[str]:
    """Return the paths inside samples/ of all files that a build reads.

    Raises:
        InputError: one of them is missing.
    """
    names = sorted({file_of(item.source) for item in recordings})
    names += [*TABLES, *PACK_TABLES, *mrt_keywords.NOISE_SOURCES, *words.LEXICON_FILES, *readme.LICENCES]
    for name in names:
        if not (samples / name).is_file():
            raise InputError(f"{samples / name}: missing; restore the repository's samples folder")
    return names


def build_corpora(
    recordings: list[Recording],
    dropped: dict[tuple[str, str], int],
    root: Path,
    samples: Path,
    final_root: Path,
    jobs: int,
    size: str,
) -> None:
    """Write every corpus, provenance.tsv and README.md into `root`, which will be renamed to `final_root`."""
    store = Store(samples, root / DECODED)
    with Workers(jobs) as workers:
        workers.run("decoding", store.add, [item.source for item in recordings] + list(mrt_keywords.NOISE_SOURCES))
        built: list[BuiltFile] = []
        for corpus in CORPORA:
            built += corpus.build(recordings, root, store, workers)
        built += diarization.build(recordings, root, store, workers, final_root)
    shutil.rmtree(store.folder)
    write_provenance(root, built)
    readme.write_readme(root, built, recordings, samples, (*CORPORA, diarization), size, dropped)


def is_built(root: Path, sources: str, size: str) -> bool:
    """Return True if `root` is a complete build of this size by this version. Update wav.scp if it was moved."""
    manifest = build_manifest.read_build_manifest(root)
    wanted = (build_manifest.VERSION, sources, size)
    if manifest is None or (manifest.version, manifest.sources, manifest.size) != wanted:
        return False
    there = build_manifest.files_in(root)
    if len(there) < manifest.files or not listed_files(root) <= there:
        return False  # more files are fine: tools leave caches beside the data
    if manifest.root != str(root):
        diarization.write_wav_scp(root, root)
        build_manifest.write_build_manifest(root, sources, size, root)
    return True


def refuse_foreign(root: Path) -> None:
    """Raise InputError unless `root` may be written: it is absent, empty, or samples of this or another version."""
    if not os.path.lexists(root) or (root.is_dir() and not any(root.iterdir())):
        return
    if build_manifest.read_build_manifest(root) is None:
        raise InputError(f"{root}: exists and is not a built samples folder; nothing was touched, choose another --out")


def put_in_place(root: Path, final_root: Path, build_folder: Path, sources: str, size: str) -> None:
    """Rename the finished folder to its place; move an old folder there into the build folder, to be deleted.

    Other builds may have finished first: a full one is as good as a small one, and is not replaced by it.
    """
    if size != FULL and is_built(final_root, sources, FULL):
        return
    refuse_foreign(final_root)  # once more: the build took minutes
    if final_root.is_dir():
        final_root.rename(build_folder / "replaced")
    try:
        root.rename(final_root)
    except OSError:
        if not any(is_built(final_root, sources, other) for other in (size, FULL)):
            raise InputError(f"{final_root}: appeared during the build; look at it, then start again") from None
