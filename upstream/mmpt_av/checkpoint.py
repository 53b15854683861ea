"""Write and read the encoder checkpoint, the one artefact that travels between stages, strictly and safely.

It is a `.pt` file with `format`, `version`, `config`, `state_dict` (of the encoder alone) and `provenance`. Reading
never runs code from the file (`weights_only=True`). Nothing is guessed: all that does not fit is an error of one line.
"""

import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from .atomic import replacing
from .config import EncoderConfig
from .encoder import Encoder
from .errors import CheckpointError

FORMAT = "mmpt_av"
VERSION = 1
VARIABLE = "MMPT_AV_CKPT"  # of the environment: the checkpoint where none is named
KEYS = {"format", "version", "config", "state_dict", "provenance"}


def write_atomically(value: object, path: str | os.PathLike[str]) -> None:
    """Save with torch under a temporary name, sync, then rename: `path` never holds half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, sync=True) as temporary, temporary.open("wb") as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:  # torch's writer hides what the system said, such as a full disk
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def read_plain(path: str | os.PathLike[str]) -> Any:
    """Load tensors and plain Python values, nothing else, to the CPU.

    Raises:
        CheckpointError: the file is missing or damaged, or holds anything that would have to be executed.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(path, "is a folder, not a checkpoint file" if path.is_dir() else "no such file")
    if path.stat().st_size == 0:
        raise CheckpointError(path, "is empty (0 bytes)")
    try:
        damaged = damaged_member(path)
        if damaged:
            raise CheckpointError(path, f"is damaged: the checksum of {damaged} is wrong")
        return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except PermissionError:
        raise CheckpointError(path, "may not be read (permission denied)") from None
    except zipfile.BadZipFile:
        raise CheckpointError(path, "is truncated, damaged or not a PyTorch checkpoint") from None
    except pickle.UnpicklingError:
        problem = "refused: holds more than tensors and plain values, loading it could run code"
        raise CheckpointError(path, problem) from None
    except Exception as error:  # torch raises a dozen kinds for archives of other programs
        raise CheckpointError(path, f"is damaged or not a PyTorch checkpoint ({type(error).__name__})") from None


def damaged_member(path: Path) -> str | None:
    """Return the first part of the archive with a wrong checksum; torch.load would load flipped bits as weights."""
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def save_encoder(
    encoder: Encoder, path: str | os.PathLike[str], provenance: dict[str, Any], half: bool = False
) -> None:
    """Write an encoder checkpoint, whole or not at all.

    Args:
        encoder: on any device.
        path: of the file; missing folders are made.
        provenance: the origin of the weights in plain values: `stages`, one entry for each with its training data.
        half: round the weights to float16, for a file of half the size; the last stage gets `rounded_to`.

    Raises:
        TypeError: JSON cannot express the provenance; the file could not be loaded again.
    """
    provenance = json.loads(json.dumps(provenance))  # turns numpy's and torch's kinds of str and float into plain ones
    state = {name: tensor.detach().cpu().clone() for name, tensor in encoder.state_dict().items()}
    if half:
        state |= rounded_weights(encoder)
        for stage in provenance.get("stages", [])[-1:]:
            stage["rounded_to"] = "float16"
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": encoder.config.to_dict(),
        "state_dict": state,
        "provenance": provenance,
    }
    write_atomically(content, path)


def rounded_weights(encoder: Encoder) -> dict[str, torch.Tensor]:
    """Return the parameters in float16, without those that hold a value beyond its range (65,504).

    Batch statistics are no parameters, and stay in float32: float16 loses digits of a variance below 6e-5 and turns one
    below 3e-8 into zero, and the layer divides by its root. They are a thousandth of the file.
    """
    halves = {name: parameter.detach().cpu().half() for name, parameter in encoder.named_parameters()}
    return {name: tensor for name, tensor in halves.items() if tensor.isfinite().all()}


def named_checkpoint(path: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    """Return the path, or without one what `$MMPT_AV_CKPT` holds.

    Raises:
        CheckpointError: neither names a checkpoint.
    """
    found = path or os.environ.get(VARIABLE)
    if not found:
        raise CheckpointError(f"${VARIABLE}", "is not set, and no path of an encoder checkpoint is given")
    return found


def load_encoder(path: str | os.PathLike[str]) -> Encoder:
    """Load an encoder from its checkpoint, in evaluation mode, with the file's `provenance` as an attribute.

    Raises:
        CheckpointError: the file is damaged, foreign, truncated, of an unknown version or unsafe to load, or its keys,
            shapes or values do not fit.
    """
    content = read_plain(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(path, describe_foreign(content))
    version = content.get("version")
    if type(version) is not int or version != VERSION:
        raise CheckpointError(path, f"has version {version!r}; this code reads version {VERSION}")
    if set(content) != KEYS:
        raise CheckpointError(path, f"keys missing or unknown: {', '.join(sorted(map(str, KEYS ^ set(content))))}")
    if not isinstance(content["config"], dict) or not isinstance(content["provenance"], dict):
        raise CheckpointError(path, "config and provenance must be dictionaries")
    try:
        config = EncoderConfig.from_dict(content["config"])
        weights = content["state_dict"]
        if isinstance(weights, dict) and config.n_layers > len(weights):  # stops a huge number before it is built
            raise CheckpointError(path, f"config: {config.n_layers} layers, but only {len(weights)} weights")
        encoder = Encoder(config)
    except (ValueError, OverflowError) as error:
        raise CheckpointError(path, f"config: {error}") from None
    except (RuntimeError, TypeError, MemoryError) as error:
        problem = f"config: no encoder of these sizes can be built ({type(error).__name__})"
        raise CheckpointError(path, problem) from None
    check_state(path, weights, encoder.state_dict())
    encoder.load_state_dict(weights)
    encoder.provenance = content["provenance"]
    return encoder.eval()


def describe_foreign(content: object) -> str:
    """Describe the content of a file that is not an encoder checkpoint."""
    if isinstance(content, dict) and content.get("format") == "mmpt_av_training":
        return (
            "is a training checkpoint, not an encoder; export one with `python scripts/export.py RUN --out encoder.pt`"
        )
    kind = type(content).__name__
    if isinstance(content, dict):
        kind = f"a dictionary with {', '.join(map(str, list(content)[:4])) or 'nothing in it'}"
    return f"is not an encoder checkpoint (format {FORMAT!r}) but {kind}"


def check_state(path: str | os.PathLike[str], state: object, expected: dict[str, torch.Tensor]) -> None:
    """Check that a state dictionary has exactly the expected keys, shapes and kinds of number, and finite values.

    Raises:
        CheckpointError: it has not; the message names file, key and shapes.
    """
    if not isinstance(state, dict):
        raise CheckpointError(path, f"state_dict is a {type(state).__name__}, not a dictionary")
    missing, unexpected = sorted(set(expected) - set(state)), sorted(map(str, set(state) - set(expected)))
    for what, names in (("missing", missing), ("unexpected", unexpected)):
        if names:
            raise CheckpointError(path, f"{len(names)} {what} key{'s' * (len(names) > 1)}, first {names[0]}")
    for name, wanted in expected.items():
        tensor = state[name]
        if not is_dense(tensor) or tensor.is_floating_point() != wanted.is_floating_point() or tensor.is_complex():
            raise CheckpointError(path, f"{name} is not a tensor of kind {wanted.dtype}")
        if tensor.shape != wanted.shape:
            shapes = f"{tuple(tensor.shape)}, the config asks for {tuple(wanted.shape)}"
            raise CheckpointError(path, f"{name} has shape {shapes}")
        if not tensor.to(wanted.dtype).isfinite().all():
            raise CheckpointError(path, f"{name} holds NaN or infinite values")


def is_dense(value: object) -> bool:
    """Return True if `value` is an ordinary tensor in memory: not sparse, not quantised, not without data ("meta")."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def file_hash(path: str | os.PathLike[str]) -> str:
    """Return a file's SHA-256 in hexadecimal, by which provenance names a parent checkpoint."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
