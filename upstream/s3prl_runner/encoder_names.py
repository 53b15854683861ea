"""Read how an encoder is written on every command line: `UPSTREAM[:CHECKPOINT[:CONFIG]]`.

    fbank                                       an entry of s3prl.hub that needs no checkpoint
    wav2vec2_url:https://host/x.pt              one that takes a URL
    hubert_local:/models/hubert.pt              or a file
    hf:/models/wavlm                            a speech encoder of transformers: a folder, or an id of its hub
    mmpt_av:runs/a/encoder.pt                   ours
    my_experts/good:weights.pt                  a folder with an expert.py of one's own; a bare word is never a folder
    baseline_local::mel.yaml                    a configuration without a checkpoint

Imports neither torch nor S3PRL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mmpt.upstream.errors import InputError

FORM = "UPSTREAM[:CKPT[:CONFIG]]"
EXPERT = "expert.py"
MODEL = "model.pt"  # the file that S3PRL's loader of the hidden set takes from a folder (s3prl/run_downstream.py:69)
UNTELLING = ("encoder.pt", MODEL)  # file names that tell nothing: their folder names the encoder
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class EncoderName:
    """An encoder as S3PRL's runner builds it.

    Attributes:
        upstream: `-u`: an attribute of s3prl.hub; of a folder with an expert.py its absolute path.
        checkpoint: `-k`: an absolute path, a URL or an id; None if the upstream needs none.
        config: `-g`: likewise.
    """

    upstream: str
    checkpoint: str | None = None
    config: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder of the expert, if it is one's own."""
        return Path(self.upstream) if "/" in self.upstream else None

    @property
    def label(self) -> str:
        """A short name for tables and folders: the checkpoint's, or else the upstream's."""
        own = self.folder.name if self.folder else self.upstream
        if self.checkpoint is None or self.folder in Path(self.checkpoint).parents:
            return _clean(own)
        named = Path(urlsplit(self.checkpoint).path if is_url(self.checkpoint) else self.checkpoint)
        name = named.parent.name if named.name in UNTELLING else named.stem if _is_file(named) else named.name
        return _clean(f"{own}-{name}" if self.folder else name)


def read(text: str, place: Path | None = None) -> EncoderName:
    """Read `UPSTREAM[:CHECKPOINT[:CONFIG]]`.

    Args:
        text: as typed.
        place: relative paths are relative to it; default: the working directory.

    Raises:
        InputError: it is not of this form, or a folder or file is missing.
    """
    return resolve(split(text), place)


def split(text: str) -> EncoderName:
    """Split a text at its colons, those of URLs aside. Nothing is looked up. Raises InputError."""
    upstream, _, rest = text.partition(":")
    checkpoint, config = _first(rest)
    if not upstream or _URL.match(text):
        raise InputError(f"{text}: not of the form {FORM}: the upstream comes first, as in wav2vec2_url:https://…")
    config, more = _first(config)
    if more:
        raise InputError(f"{text}: not of the form {FORM}: too many colons")
    return EncoderName(upstream, checkpoint or None, config or None)


def resolve(name: EncoderName, place: Path | None = None) -> EncoderName:
    """Make the paths absolute, and find the `model.pt` of a folder without a checkpoint. Raises InputError."""
    place = place or Path.cwd()
    upstream, checkpoint = name.upstream, name.checkpoint
    if upstream == "hf" and checkpoint is None:
        raise InputError("hf: which encoder? hf:DIR is a folder of transformers, hf:OWNER/NAME one of its Hub")
    if "/" in upstream:
        folder = (place / Path(upstream).expanduser()).resolve()
        if not (folder / EXPERT).is_file():
            what = f"holds no {EXPERT}" if folder.is_dir() else "no such folder"
            raise InputError(
                f"{upstream}: {what}; an encoder of one's own is a folder with {EXPERT} (docs/encoders.md)"
            )
        upstream = str(folder)
        if checkpoint is None and (folder / MODEL).is_file():
            checkpoint = str(folder / MODEL)
    return EncoderName(upstream, _found(upstream, checkpoint, place), _found("", name.config, place))


def is_url(text: str) -> bool:
    """Return True for a text that begins as https:// does."""
    return _URL.match(text) is not None


def _first(text: str) -> tuple[str, str]:
    """Split at the first colon that is not part of a URL's beginning, such as https://host:8080/."""
    start = 0
    if match := _URL.match(text):
        slash = text.find("/", match.end())
        start = len(text) if slash < 0 else slash
    colon = text.find(":", start)
    return (text, "") if colon < 0 else (text[:colon], text[colon + 1 :])


def _found(upstream: str, text: str | None, place: Path) -> str | None:
    """Return a URL or an id as it is, and a file or folder as an absolute path. `upstream`: empty for a config."""
    if text is None or is_url(text):
        return text
    path = (place / Path(text).expanduser()).absolute()
    if path.exists():
        return str(path)
    if upstream.endswith("_gdriveid") or upstream.startswith("hf") and _HUB_ID.fullmatch(text):
        return text
    what = "encoder checkpoint" if upstream else "configuration file"
    raise InputError(f"{text}: no such {what}" + (f" (of {upstream})" if upstream else ""))


def _is_file(path: Path) -> bool:
    """Return True if the name ends like a file's; `wav2vec2.0` of a folder or an id does not."""
    return path.suffix.lower() in (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".model", ".npz")


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "encoder"
