"""fairseq's `s2t_conformer` checkpoints: read without running code in them, checked, and turned into our encoder."""

import argparse
import pickle
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.checkpoint import check_state, damaged_member, file_hash

# Our names and theirs; N is the layer's number. Attention's three projections are one in ours: see QKV in `convert`.
NAMES = {
    "subsampler.conv1": "subsample.conv_layers.0",
    "subsampler.conv2": "subsample.conv_layers.1",
    "linear": "linear",
    "blocks.N.ffn1.0": "conformer_layers.N.ffn1.layer_norm",
    "blocks.N.ffn1.1": "conformer_layers.N.ffn1.w_1",
    "blocks.N.ffn1.4": "conformer_layers.N.ffn1.w_2",
    "blocks.N.attention.norm": "conformer_layers.N.self_attn_layer_norm",
    "blocks.N.attention.out": "conformer_layers.N.self_attn.out_proj",
    "blocks.N.convolution.norm": "conformer_layers.N.conv_module.layer_norm",
    "blocks.N.convolution.expand": "conformer_layers.N.conv_module.pointwise_conv1",
    "blocks.N.convolution.depthwise": "conformer_layers.N.conv_module.depthwise_conv",
    "blocks.N.convolution.batch_norm": "conformer_layers.N.conv_module.batch_norm",
    "blocks.N.convolution.project": "conformer_layers.N.conv_module.pointwise_conv2",
    "blocks.N.ffn2.0": "conformer_layers.N.ffn2.layer_norm",
    "blocks.N.ffn2.1": "conformer_layers.N.ffn2.w_1",
    "blocks.N.ffn2.4": "conformer_layers.N.ffn2.w_2",
    "blocks.N.norm": "conformer_layers.N.final_layer_norm",
}
QKV = "blocks.N.attention.qkv"
# Buffers without information: positions are computed.
POSITIONS = re.compile(r"encoder\.(embed_positions\._float_tensor|version)")

RESAVE = (
    "where fairseq is installed, load it with weights_only=False and save it again with "
    "torch.save({'cfg': {'model': OPTIONS}, 'model': c['model']}, NEW); OPTIONS is a plain dictionary of the model's "
    "options"
)


@dataclass(frozen=True)
class FairseqModel:
    """What a checkpoint holds.

    Args:
        path: of the file.
        options: the model's options by name, `arch` among them.
        weights: the model's state.
        updates: how many the model was trained for, None if the checkpoint does not tell.
    """

    path: Path
    options: dict
    weights: dict[str, Tensor]
    updates: int | None


def read_fairseq(path: Path) -> FairseqModel:
    """Read a checkpoint of a model that our encoder can take over.

    Raises:
        CheckpointError: the file is missing, damaged, not fairseq's, or of another model; it holds other objects than
            plain values, tensors and argparse.Namespace.
    """
    content = load(path)
    options = content.get("args")
    if options is None:
        options = content["cfg"].get("model") if isinstance(content["cfg"], dict) else None
    options = vars(options) if isinstance(options, argparse.Namespace) else options
    if not isinstance(options, dict):
        raise CheckpointError(path, "has no options of its model, neither `args` nor `cfg.model`")
    options = {**options, "arch": options.get("arch") or options.get("_name")}
    check_architecture(path, options, content["model"])
    return FairseqModel(path, options, content["model"], updates(content))


def load(path: Path) -> dict:
    """Load a checkpoint without executing anything in it."""
    if not path.is_file():
        raise CheckpointError(path, "is a folder, not a checkpoint file" if path.is_dir() else "no such file")
    try:
        if zipfile.is_zipfile(path) and (damaged := damaged_member(path)):
            raise CheckpointError(path, f"is damaged: the checksum of {damaged} is wrong")
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(
            r"(?:GLOBAL|global) ([\w.]+) was not an allowed|Unsupported (?:global|class) ([\w.]+)", str(error)
        )
        what = next(filter(None, named.groups()), None) if named else None
        problem = (
            f"holds {what}, which is not loaded, as it could run code; {RESAVE}"
            if what
            else "is damaged or not a PyTorch checkpoint"
        )
        raise CheckpointError(path, problem) from None
    except CheckpointError:
        raise
    except Exception as error:  # torch raises a dozen kinds for files that are not its own
        raise CheckpointError(path, f"is damaged or not a PyTorch checkpoint ({type(error).__name__})") from None
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("model"), dict)
        or not (content.get("args") or content.get("cfg"))
    ):
        raise CheckpointError(path, "is not a fairseq checkpoint: it has no `model` beside `args` or `cfg`")
    return content


def check_architecture(path: Path, options: dict, model: dict) -> None:
    """Raise CheckpointError, with the reason, for models whose outputs our encoder would not give."""
    arch = str(options["arch"])
    if not arch.startswith("s2t_conformer"):
        found = "no s2t_conformer: " + (
            "its layers are Transformer's, without convolution" if "s2t_transformer" in arch else "another model"
        )
        raise CheckpointError(path, f"is of architecture {arch!r}, {found}")
    reasons = {
        "pos_enc_type": (options.get("pos_enc_type") or "abs") == "abs"
        or f"its positions are {options.get('pos_enc_type')!r}, and only absolute ones ('abs') are read",
        "attn_type": not options.get("attn_type")
        or f"its attention is {options.get('attn_type')!r}'s, which has other weights; only fairseq's own is read",
        "conv_version": (options.get("conv_version") or "s2t_transformer") == "s2t_transformer"
        or f"its sub-sampling is {options.get('conv_version')!r}'s, not 1-D convolutions",
        "conv_kernel_sizes": options.get("conv_kernel_sizes", "5,5") == "5,5"
        or f"its sub-sampling kernels are {options.get('conv_kernel_sizes')}, not 5,5",
        "no_scale_embedding": not options.get("no_scale_embedding")
        or "it does not scale embeddings (no_scale_embedding), which ours does",
        "input_channels": options.get("input_channels", 1) == 1 or "its input has several channels",
    }
    for name, verdict in reasons.items():
        if verdict is not True:
            raise CheckpointError(path, f"cannot be imported: {verdict} ({name})")
    if any("wav2vec" in key or "w2v" in key for key in model):
        raise CheckpointError(path, "cannot be imported: it begins with a wav2vec encoder")


def encoder_config(source: FairseqModel, cmvn: Path | None) -> EncoderConfig:
    """Return the settings of our encoder.

    Args:
        source: the model.
        cmvn: fairseq's gcmvn.npz; None if features are normalised per utterance.
    """
    options, path = source.options, source.path
    try:
        return EncoderConfig(
            n_mels=options.get("input_feat_per_channel", 80),
            conv_channels=options["conv_channels"],
            d_model=options["encoder_embed_dim"],
            n_layers=options["encoder_layers"],
            n_heads=options["encoder_attention_heads"],
            ffn_dim=options["encoder_ffn_embed_dim"],
            depthwise_kernel=options["depthwise_conv_kernel_size"],
            dropout=float(options.get("dropout", 0.1)),
            **(statistics(cmvn) if cmvn else {}),
        )
    except KeyError as error:
        raise CheckpointError(path, f"its options lack {error.args[0]}") from None
    except (TypeError, ValueError) as error:
        raise CheckpointError(path, f"cannot be imported: {error}") from None


def statistics(file: Path) -> dict:
    """Read fairseq's global mean and deviation of features, which are of 16-bit-scaled sound like ours."""
    try:
        with numpy.load(file, allow_pickle=False) as arrays:
            mean, std = (tuple(float(x) for x in arrays[name].reshape(-1)) for name in ("mean", "std"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise InputError(f"{file}: not fairseq's gcmvn.npz with mean and std ({error})") from None
    return {"normalisation": "global", "feature_mean": mean, "feature_std": std}


def convert(source: FairseqModel, config: EncoderConfig) -> tuple[Encoder, Counter[str]]:
    """Return our encoder with the model's weights, and the number of keys that were left out, by group.

    Raises:
        CheckpointError: a weight is missing or of another shape, or one that changes the encoder's output has no place
            in ours.
    """
    path, model = source.path, source.weights
    encoder = Encoder(config).eval()
    state: dict[str, Tensor] = {}
    used: set[str] = set()

    def take(name: str) -> Tensor:
        key = f"encoder.{name}"
        if not isinstance(model.get(key), Tensor):
            raise CheckpointError(path, f"has no {key}")
        used.add(key)
        return model[key].float() if model[key].is_floating_point() else model[key]

    for ours, wanted in encoder.state_dict().items():
        module, kind = ours.rsplit(".", 1)
        found = re.match(r"blocks\.(\d+)\.", ours)
        layer = found[1] if found else ""
        general = re.sub(r"^blocks\.\d+\.", "blocks.N.", module)
        if general == QKV:
            value = torch.cat([take(f"conformer_layers.{layer}.self_attn.{part}_proj.{kind}") for part in "qkv"])
        else:
            value = take(f"{NAMES[general].replace('N', layer)}.{kind}")
        if value.dim() == wanted.dim() + 1 and value.shape[-1] == 1:
            value = value.squeeze(-1)  # a convolution of kernel 1 is a linear layer in ours
        state[ours] = value
    check_state(path, state, encoder.state_dict())
    encoder.load_state_dict(state)
    rest = [key for key in model if key not in used and not POSITIONS.fullmatch(key)]
    if strange := [key for key in rest if key.startswith("encoder.") and not re.match(r"encoder\.ctc", key)]:
        weights = f"{strange[0]} and {len(strange) - 1} more weights of its encoder"
        raise CheckpointError(path, f"cannot be imported: {weights} have no place in ours")
    return encoder, Counter(".".join(key.split(".")[: 2 if key.startswith("encoder.") else 1]) + ".*" for key in rest)


def stage(source: FairseqModel) -> dict:
    """Return the provenance of an imported encoder."""
    return {
        "stage": "imported",
        "objective": "fairseq",
        "data": "unknown",
        "architecture": source.options["arch"],
        "file": source.path.name,
        "file_sha256": file_hash(source.path),
        "steps": source.updates,
        "parent_sha256": None,
    }


def updates(content: dict) -> int | None:
    """Return how many updates the model was trained for, None if the checkpoint does not tell."""
    history = content.get("optimizer_history")
    last = history[-1] if isinstance(history, list) and history else None
    return last.get("num_updates") if isinstance(last, dict) else None
