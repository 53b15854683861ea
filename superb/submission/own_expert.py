"""The hidden set of someone's own encoder: its folder with the checkpoint as model.pt, if S3PRL's loader can take it.

S3PRL's loader of a Hugging Face repository calls `UpstreamExpert(ckpt=FOLDER/model.pt, model_config=None, …)` of a flat
`expert.py`, and reads requirements.txt (s3prl/downstream/runner.py:117).
"""

import shutil
from pathlib import Path

import torch

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.submission.hidden_set import import_flat
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.s3prl_runner.encoder_names import MODEL

REQUIREMENTS = "requirements.txt"
LENGTHS = (SAMPLE_RATE, 23457)  # samples of the waveforms for the check


def write_own_expert(folder: Path, encoder: ScoredEncoder, hop: int) -> str | None:
    """Write the folder.

    Args:
        folder: to make.
        encoder: not ours.
        hop: samples under a state, as scored.

    Returns:
        Why no hidden set can be made, in which case there is no folder; None if it was made.
    """
    source = encoder.spelled.folder
    reason = _obstacle(encoder)
    if reason or source is None:
        return reason
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    if encoder.file:
        shutil.copyfile(encoder.file, folder / MODEL)
    reason = _fault(folder, hop)
    if reason:
        shutil.rmtree(folder)
    return reason


def _obstacle(encoder: ScoredEncoder) -> str | None:
    """Return what S3PRL's loader could not do with such an encoder."""
    name = encoder.spelled
    if name.folder is None:
        return "the hidden set wants a folder with expert.py: write one around this encoder, and score it by --expert"
    if name.config is not None:
        return "S3PRL's loader of the hidden set passes no configuration: let expert.py find it in its own folder"
    if name.checkpoint is not None and encoder.file is None:
        return f"S3PRL's loader of the hidden set passes one file, and {name.checkpoint} is none"
    if not (name.folder / REQUIREMENTS).is_file():
        return f"{name.folder}: has no {REQUIREMENTS}, which S3PRL's loader reads (a package a line; it may be empty)"
    return None


def _fault(folder: Path, hop: int) -> str | None:
    """Import the folder in a clean process as S3PRL would; return what is wrong."""
    generator = torch.Generator().manual_seed(0)
    found = import_flat(folder, [0.1 * torch.randn(samples, generator=generator) for samples in LENGTHS], mend=True)
    if isinstance(found, str):
        return f"S3PRL's loader cannot import the folder flat: {found}"
    return None if found["rate"] == hop else f"it reports {found['rate']} samples under a state, and {hop} were scored"
