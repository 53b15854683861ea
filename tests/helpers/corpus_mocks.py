"""Make mocks of audio-visual corpora in their published layouts, of four tiny media files."""

import functools
import tempfile
from pathlib import Path

from helpers.clip_files import write_clip


@functools.cache
def media() -> dict[str, bytes]:
    """Return the contents of whole.mp4 (1 s), silent.mp4 (0.8 s), blind.mp4 (1 s) and sound.m4a (0.6 s)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "whole.mp4", 1.0, seed=0)
        write_clip(folder / "silent.mp4", 0.8, seed=1, sound=False)
        write_clip(folder / "blind.mp4", 1.0, seed=2, picture=False)
        write_clip(folder / "sound.mp4", 0.6, seed=3, picture=False)
        (folder / "sound.mp4").rename(folder / "sound.m4a")
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def place(root: Path, files: dict[str, str]) -> Path:
    """Write files, given by path in root and content (a name in media(), or a text); return `root`."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(media().get(content, content.encode()))
    return root


def lrs3(root: Path) -> Path:
    """Write three training videos, one of them in pretrain and trainval, and a test video; every clip is whole."""
    clips = (
        "pretrain/aaaaaaaaaaa/00001",
        "pretrain/aaaaaaaaaaa/00002",
        "pretrain/bbbbbbb-_bb/00001",
        "trainval/aaaaaaaaaaa/50001",
        "trainval/ccccccccccc/50001",
        "test/ddddddddddd/00001",
    )
    return place(root, {f"{clip}.mp4": "whole.mp4" for clip in clips} | {f"{clip}.txt": "Text:  SO" for clip in clips})
