"""The encoders that a SUPERB run scores: ours, S3PRL's, those of transformers, and anyone's own."""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import demo_encoder
from mmpt.upstream.s3prl_runner.encoder_names import FORM, EncoderName, read
from mmpt.upstream.s3prl_runner.registration import UPSTREAM

CKPT, ENCODER, EXPERT_FLAG = "--ckpt", "--encoder", "--expert"


@dataclass(frozen=True)
class ScoredEncoder:
    """An encoder under its name in the results.

    Args:
        name: in tables and folders.
        upstream: see `EncoderName`, as the other two.
        checkpoint: a file; of other encoders than ours a text, which may be a URL or an id.
        config: its configuration.
    """

    name: str
    upstream: str
    checkpoint: Path | str | None = None
    config: str | None = None

    @property
    def is_ours(self) -> bool:
        return self.upstream == UPSTREAM

    @property
    def spelled(self) -> EncoderName:
        """The encoder as S3PRL's runner builds it."""
        return EncoderName(self.upstream, None if self.checkpoint is None else str(self.checkpoint), self.config)

    @cached_property
    def identity(self) -> str:
        """What tells it from others, by content (`encoder_identity`): of ours the checkpoint's SHA-256."""
        from mmpt.upstream.s3prl_runner.encoder_identity import identity

        return identity(self.spelled)

    @property
    def file(self) -> Path | None:
        """The checkpoint, if it is a file here."""
        path = Path(self.checkpoint) if self.checkpoint else None
        return path if path and path.is_file() else None

    def provenance(self) -> dict | None:
        """Return where the weights come from, which checkpoints of ours alone record. Raises CheckpointError."""
        from mmpt.upstream.mmpt_av import load_encoder

        return load_encoder(self.checkpoint).provenance if self.is_ours and self.checkpoint else None


def read_encoders(typed: list[tuple[str, str]]) -> list[ScoredEncoder]:
    """Read encoders from the command line, in its order.

    Args:
        typed: flag and text: `--ckpt` [NAME=]FILE; `--encoder` [NAME=]UPSTREAM[:CKPT[:CONFIG]]; `--expert`
            [NAME=]DIR[:CKPT[:CONFIG]].

    Raises:
        InputError: there is none, a file is missing, or two encoders have one name.
        CheckpointError: a checkpoint of ours is damaged.
    """
    if not typed:
        demo = demo_encoder()
        hint = f"; the repository has a trained encoder: {CKPT} {os.path.relpath(demo)}" if demo else ""
        raise InputError(f"nothing to score: give {CKPT} FILE or {ENCODER} {FORM}{hint}")
    encoders = [_read(flag, text) for flag, text in typed]
    names = [encoder.name for encoder in encoders]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two encoders are called {name}: name them, as in {CKPT} first={name}/encoder.pt")
        if "/" in name or name.startswith("."):
            raise InputError(f"{name}: cannot be the name of a folder; choose another, as in {CKPT} NAME=FILE")
    return encoders


def _read(flag: str, text: str) -> ScoredEncoder:
    """Read one encoder, and report what is missing or damaged before anything is trained."""
    given, plain = _named(text)
    if flag == CKPT:
        found = EncoderName(UPSTREAM, str(Path(plain).expanduser().absolute()))
    elif flag == EXPERT_FLAG:
        found = read(plain if plain.startswith(("/", "~")) else f"./{plain}")
    else:
        found = read(plain)
    if found.upstream != UPSTREAM:
        return ScoredEncoder(given or found.label, found.upstream, found.checkpoint, found.config)
    if found.checkpoint is None or not Path(found.checkpoint).is_file():
        raise InputError(f"{flag} {text}: no such encoder checkpoint")
    encoder = ScoredEncoder(given or found.label, UPSTREAM, Path(found.checkpoint), found.config)
    encoder.provenance()
    return encoder


def _named(text: str) -> tuple[str, str]:
    """Split NAME= off a text. A file's name or a URL may hold `=`, too."""
    match = re.match(r"([^=:/]+)=(.+)", text)
    return ("", text) if match is None or Path(text).exists() else (match[1], match[2])
