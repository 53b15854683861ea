"""Load a speech encoder of transformers and its feature extractor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mmpt.upstream.errors import InputError

from .wav2vec2_bert import Wav2Vec2Bert
from .waveforms import WaveformEncoder
from .whisper import WhisperWindows

SpeechEncoder = WaveformEncoder | Wav2Vec2Bert | WhisperWindows
SAMPLE_RATE = 16_000
WAVEFORM_FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "sew-d")
FAMILIES = (*WAVEFORM_FAMILIES, "wav2vec2-bert", "whisper")  # `model_type` in config.json
# Parts of a training run that change states or their number at random, or their rate. An upstream has none of them.
SWITCHED_OFF = {
    "add_adapter": False,
    "apply_spec_augment": False,
    "encoder_layerdrop": 0.0,
    "layerdrop": 0.0,
    "mask_feature_prob": 0.0,
    "mask_time_prob": 0.0,
    "use_intermediate_ffn_before_adapter": False,
}


def load_encoder(name: str, refresh: bool = False, min_window_s: float | None = None) -> SpeechEncoder:
    """Load an encoder, a module that maps waveforms (samples,) to the states (T, C) of all layers.

    Weights are read from safetensors if the folder has them, otherwise by `torch.load(weights_only=True)`: no code of
    the checkpoint is executed. They are float32 whatever the file holds.

    Args:
        name: folder, or id of huggingface.co. Nothing is downloaded for a folder.
        refresh: download an id again.
        min_window_s: of Whisper, see whisper.py.

    Raises:
        InputError: it cannot be loaded, or is not an encoder of 16 kHz speech that is known here.
    """
    where = _where(name, refresh)
    unless_folder = "" if "local_files_only" in where else "no such folder; as an id of huggingface.co it "
    with _failing_in_one_line(f"{name}: {unless_folder}"), _quiet():
        config = _read_config(name, where)
    with _failing_in_one_line(f"{name}: its feature extractor (preprocessor_config.json) "), _quiet():
        extractor = _read_extractor(name, where)
    if min_window_s is not None and config.model_type != "whisper":
        raise InputError(f"{name}: min_window_s is an option of Whisper alone; this is {config.model_type}")
    with _failing_in_one_line(f"{name}: "), _quiet():
        model = _read_model(name, config, where)
    if config.model_type == "whisper":
        return WhisperWindows(model, extractor, min_window_s)
    if config.model_type == "wav2vec2-bert":
        return Wav2Vec2Bert(model, extractor)
    return WaveformEncoder(model, extractor)


def _where(name: str, refresh: bool) -> dict[str, Any]:
    """Return the arguments that tell transformers where to look: in the folder alone, or at huggingface.co."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{name}: has no config.json; name a folder that save_pretrained of transformers wrote")
        return {"pretrained_model_name_or_path": str(path), "local_files_only": True, "trust_remote_code": False}
    if path.exists() or not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name):
        raise InputError(f"{name}: no such folder; name one that save_pretrained of transformers wrote")
    return {"pretrained_model_name_or_path": name, "force_download": refresh, "trust_remote_code": False}


def _read_config(name: str, where: dict[str, Any]) -> Any:
    from transformers import AutoConfig, PreTrainedConfig

    family = PreTrainedConfig.get_config_dict(**where)[0].get("model_type")
    if family not in FAMILIES:
        raise InputError(f"{name}: its model type is {family!r}; speech encoders known here are {', '.join(FAMILIES)}")
    config = AutoConfig.from_pretrained(**where)
    for key, value in SWITCHED_OFF.items():
        if hasattr(config, key):
            setattr(config, key, value)
    return config


def _read_extractor(name: str, where: dict[str, Any]) -> Any:
    from transformers import AutoFeatureExtractor

    extractor = AutoFeatureExtractor.from_pretrained(**where)
    if extractor.sampling_rate != SAMPLE_RATE:
        raise InputError(
            f"{name}: it was trained on {extractor.sampling_rate} Hz; S3PRL's waveforms have {SAMPLE_RATE}"
        )
    return extractor


def _read_model(name: str, config: Any, where: dict[str, Any]) -> Any:
    from transformers import AutoModel

    model, found = AutoModel.from_pretrained(
        **where, config=config, dtype=torch.float32, weights_only=True, output_loading_info=True
    )
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("decoder."))
    if missing:
        raise InputError(f"{name}: {len(missing)} weights of the encoder are missing, such as {missing[0]}")
    return model


@contextmanager
def _failing_in_one_line(subject: str) -> Iterator[None]:
    """Turn what transformers raises, often a page, into an InputError of one line."""
    try:
        yield
    except (InputError, ModuleNotFoundError):
        raise
    except Exception as error:  # OSError, ValueError, and those of safetensors, pickle and PyTorch
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{subject}cannot be loaded: {reason[:300]}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the table of weights that a checkpoint's head leaves unused."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
