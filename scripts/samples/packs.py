"""Read clips out of the packs: zip files of Opus clips, samples/packs/PACK/audio.zip.

A clip is known by its path as if the pack were a folder: packs/queen/audio.zip/queen_020001P2.opus.
"""

import functools
import zipfile
from pathlib import Path

from mmpt.upstream.errors import InputError

FOLDER = "packs"
ARCHIVE = "audio.zip"


def source_of(pack: str, clip: str) -> str:
    """Return the path in samples/ by which a clip of a pack is known."""
    return f"{FOLDER}/{pack}/{ARCHIVE}/{clip}.opus"


def file_of(source: str) -> str:
    """Return the path in samples/ of the file that holds a recording: its pack, or the recording itself."""
    return source.rpartition("/")[0] if is_packed(source) else source


def is_packed(source: str) -> bool:
    """Return True if a recording lies in a pack."""
    return f"/{ARCHIVE}/" in source


def read_packed(samples: Path, source: str) -> bytes:
    """Return a packed clip's file.

    Raises:
        InputError: the pack is missing or damaged, or has no such clip.
    """
    pack = samples / file_of(source)
    try:
        return open_pack(pack).read(source.rpartition("/")[2])
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{pack}: {error}; restore the repository's samples folder") from None


@functools.lru_cache(maxsize=8)
def open_pack(path: Path) -> zipfile.ZipFile:
    """Open a pack once a process: its list of contents takes longer to read than a clip."""
    return zipfile.ZipFile(path)
