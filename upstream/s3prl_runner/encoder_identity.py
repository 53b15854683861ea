"""Tell encoders apart by content: what a stored state or a result depends on, in one line of text."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mmpt.upstream.s3prl_runner.encoder_names import EncoderName
from mmpt.upstream.s3prl_runner.registration import UPSTREAM


def identity(name: EncoderName) -> str:
    """Return the encoder with each file or folder replaced by the hash of its content.

    Of ours without a configuration it is the checkpoint's SHA-256 alone; of an upstream without files S3PRL's name. A
    URL or an id stands for itself.
    """
    parts = ["" if name.upstream == UPSTREAM else name.upstream, name.checkpoint, name.config]
    if name.folder:
        parts[0] = f"{name.folder.name}/{content_hash(name.folder)}"
    named = [_content(part) if part and index else part for index, part in enumerate(parts)]
    return ":".join(part or "" for part in named).strip(":")


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files.

    Hidden files and compiled Python do not count.
    """
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    if not path.is_dir():
        return file_hash(path)
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            digest.update(f"{inside.as_posix()} {file_hash(file)}\n".encode())
    return digest.hexdigest()


def _content(text: str) -> str:
    path = Path(text)
    return content_hash(path) if path.is_absolute() and path.exists() else text
