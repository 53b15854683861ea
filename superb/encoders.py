"""The encoders that a SUPERB run scores: checkpoints of ours, and upstreams of S3PRL's."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.registration import UPSTREAM


@dataclass(frozen=True)
class ScoredEncoder:
    """An encoder under its name in the results.

    Args:
        name: in tables and folders.
        upstream: S3PRL's name for it: mmpt_av, fbank, …
        checkpoint: None for an upstream of S3PRL's.
    """

    name: str
    upstream: str
    checkpoint: Path | None = None

    @cached_property
    def identity(self) -> str:
        """The checkpoint's SHA-256, or S3PRL's name."""
        from mmpt.upstream.mmpt_av.checkpoint import file_hash

        return file_hash(self.checkpoint) if self.checkpoint else self.upstream

    def provenance(self) -> dict | None:
        """Return where the weights come from, as the checkpoint records it. Raises CheckpointError."""
        from mmpt.upstream.mmpt_av import load_encoder

        return load_encoder(self.checkpoint).provenance if self.checkpoint else None


def read_encoders(checkpoints: list[str], upstreams: list[str]) -> list[ScoredEncoder]:
    """Read the values of `--ckpt` ([NAME=]FILE) and of `--upstream`.

    Raises:
        InputError: there is none, a file is missing, or two encoders have one name.
        CheckpointError: a checkpoint is damaged.
    """
    encoders = []
    for text in checkpoints:
        name, _, file = text.rpartition("=") if "=" in text and not Path(text).exists() else ("", "", text)
        path = Path(file).expanduser().absolute()
        if not path.is_file():
            raise InputError(f"--ckpt {text}: no such encoder checkpoint")
        encoder = ScoredEncoder(name or (path.parent.name if path.name == "encoder.pt" else path.stem), UPSTREAM, path)
        encoder.provenance()  # reports a damaged file before anything is trained
        encoders.append(encoder)
    encoders += [ScoredEncoder(name, name) for name in upstreams]
    if not encoders:
        raise InputError("nothing to score: give --ckpt FILE or --upstream NAME")
    names = [encoder.name for encoder in encoders]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two encoders are called {name}: name them, as in --ckpt first={name}/encoder.pt")
        if "/" in name or name.startswith("."):
            raise InputError(f"{name}: cannot be the name of a folder; choose another, as in --ckpt NAME=FILE")
    return encoders
