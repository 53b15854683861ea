"""Make the folder that the hidden set wants as a Hugging Face repository: expert.py, model.pt and all they need."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import mmpt.upstream.mmpt_av as package
from mmpt.superb.cost import Cost
from mmpt.superb.submission.eligibility import Eligibility
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import load_encoder, save_encoder
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.expert import UpstreamExpert

EXPERT = '''\
"""The upstream as S3PRL's hub loader imports it, from a flat folder: the encoder's package lies beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mmpt_av.expert import UpstreamExpert  # noqa: E402  (found through the line above)

__all__ = ["UpstreamExpert"]
'''
REQUIREMENTS = "torch>=2.8\npyyaml>=6\n"
CARD = """\
---
license: other
license_name: code-mit-weights-see-below
tags: [speech, audio, superb, s3prl]
---
# {name}

A speech encoder for [SUPERB](https://superbbenchmark.org): log-mel filterbank energies, a sub-sampling convolution and
a Conformer of {layers} blocks (d {width}), {parameters:,} parameters, {macs:.1f} GMACs over SUPERB's 32 utterances, one
state every {ms} ms.

- **Trained on**: {disclosure}
- **Challenge track**: {reason}
- **Licences**: the code is under the licence in LICENSE. For the weights, mind the terms of their training data.

S3PRL loads it with `python run_downstream.py --hub huggingface -u OWNER/NAME ...` (and huggingface_hub < 1.0); by hand:

```python
from expert import UpstreamExpert

upstream = UpstreamExpert("model.pt")
# waveform: (samples,) at 16 kHz; states: a list of {states} tensors (1, T, {width})
states = upstream([waveform])["hidden_states"]
```
"""
# Samples of the waveforms for the check: a second, a window, one sample, an odd length.
LENGTHS = (SAMPLE_RATE, 400, 1, 23457)
CLOSE = 1e-5  # largest difference of a state


def write_hidden_set(folder: Path, encoder: Path, hop: int, name: str, judged: Eligibility, cost: Cost) -> None:
    """Write the folder.

    Args:
        folder: to make.
        encoder: checkpoint, copied as it is unless `hop` is not its own.
        hop: samples under a state.
        name: of the submission, for the model card, as the last two.
        judged: the encoder's eligibility.
        cost: the encoder's.
    """
    folder.mkdir(parents=True)
    model = load_encoder(encoder)
    if model.hop == hop:
        shutil.copyfile(encoder, folder / "model.pt")
    else:
        model.hop = hop
        save_encoder(model, folder / "model.pt", model.provenance)
    shutil.copytree(Path(package.__file__).parent, folder / "mmpt_av", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(folder / "mmpt_av" / "LICENSE", folder / "LICENSE")
    card = CARD.format(
        name=name,
        layers=model.config.n_layers,
        width=model.config.d_model,
        parameters=cost.parameters,
        macs=cost.total / 1e9,
        ms=hop * 1000 // SAMPLE_RATE,
        disclosure=judged.disclosure,
        reason=judged.reason,
        states=model.config.n_layers + 1,
    )
    for file, text in {"expert.py": EXPERT, "requirements.txt": REQUIREMENTS, "README.md": card}.items():
        (folder / file).write_text(text, encoding="utf-8")


def check_hidden_set(folder: Path, encoder: Path, hop: int) -> list[str]:
    """Import the folder in a clean process as S3PRL would; compare its states with those of the scored encoder.

    Returns:
        What is wrong, one line each.
    """
    generator = torch.Generator().manual_seed(0)
    wavs = [0.1 * torch.randn(samples, generator=generator) for samples in LENGTHS]
    found = import_flat(folder, wavs)
    if isinstance(found, str):
        return [f"hidden set: {folder} cannot be imported as S3PRL does it: {found}"]
    with torch.no_grad():
        wanted = torch.stack(UpstreamExpert(str(encoder), frame_hop=hop).eval()(wavs)["hidden_states"])
    if found["rate"] != hop:
        return [f"hidden set: reports {found['rate']} samples under a state, and {hop} were scored"]
    if found["states"].shape != wanted.shape or not (found["states"] - wanted).abs().max() <= CLOSE:
        return [f"hidden set: {folder} computes other states than the encoder that was scored"]
    return []


def import_flat(folder: Path, wavs: list[torch.Tensor], mend: bool = False) -> dict[str, Any] | str:
    """Import a folder in a clean process as S3PRL would, and compute the states of a batch.

    Args:
        folder: with expert.py, and perhaps model.pt.
        wavs: (samples,) each.
        mend: mend S3PRL first, for an expert that imports it.

    Returns:
        `states` (layers, B, T, C) and `rate`, or else the error in one line.
    """
    with tempfile.TemporaryDirectory() as place:
        torch.save(wavs, Path(place, "wavs.pt"))
        script = Path(__file__).with_name("flat_import.py")
        command = [sys.executable, "-I", "-B", str(script), str(folder.absolute()), "wavs.pt", "out.pt"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            command + ["mend"] * mend, cwd=place, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["no message"])[-1]
        found: dict[str, Any] = torch.load(Path(place, "out.pt"), weights_only=True)
        return found


def push(folder: Path, repository: str) -> str:
    """Upload the folder to a Hugging Face repository, a new one as private; return the commit's hash.

    Raises:
        InputError: nobody is logged in, or the Hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError

    api = HfApi()
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        return api.upload_folder(repo_id=repository, folder_path=folder, commit_message="SUPERB hidden set").oid
    except LocalTokenNotFoundError:
        raise InputError(
            f"--push {repository}: nobody is logged in to the Hugging Face Hub; see hf auth login"
        ) from None
    except (HTTPError, HFValidationError, OSError) as error:
        raise InputError(f"--push {repository}: {' '.join(str(error).split())}") from None
