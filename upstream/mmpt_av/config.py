"""The settings of an encoder: the plain numbers that its checkpoint stores. Importing them does not import torch."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SAMPLE_RATE = 16_000  # samples a second of every waveform
HOP_SAMPLES = 640  # samples under one state of the blocks: 10 ms frames, sub-sampled by four
FRAME_HOPS = (640, 320)
PRECISIONS = ("float32", "bfloat16")  # of matrix products
WHOLE_NUMBERS = (
    "n_mels",
    "conv_channels",
    "conv_kernel",
    "d_model",
    "n_layers",
    "n_heads",
    "ffn_dim",
    "depthwise_kernel",
)


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the front end and the Conformer.

    The defaults are the paper's (Jain et al. 2024, section 4): 42.95 M parameters.

    Args:
        n_mels: mel bins of the front end.
        normalisation: "utterance" (by the utterance's own frames) or "global" (by feature_mean and feature_std).
        feature_mean, feature_std: (n_mels,) statistics of log energies of 16-bit-scaled audio, for "global" only.
        conv_channels: channels between the two sub-sampling convolutions, before their gate.
        conv_kernel: kernel of both convolutions, in frames.
        d_model, n_layers, n_heads, ffn_dim, depthwise_kernel, dropout: of the Conformer.
        frame_hop: samples under one output state: 640, or 320 with a state interpolated between each two.
    """

    n_mels: int = 80
    normalisation: str = "utterance"
    feature_mean: tuple[float, ...] | None = None
    feature_std: tuple[float, ...] | None = None
    conv_channels: int = 1024
    conv_kernel: int = 5
    d_model: int = 256
    n_layers: int = 16
    n_heads: int = 4
    ffn_dim: int = 2048
    depthwise_kernel: int = 31
    dropout: float = 0.1
    frame_hop: int = HOP_SAMPLES

    def __post_init__(self) -> None:
        for field in WHOLE_NUMBERS:
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{field} must be a whole number of at least 1, got {value!r}")
        if self.d_model % self.n_heads or self.d_model % 2:
            raise ValueError(f"d_model ({self.d_model}) must be even and a multiple of n_heads ({self.n_heads})")
        if self.conv_channels % 2 or self.conv_kernel != 5:
            # The rule ceil(frames / 4) and the gap between packed utterances hold for kernel 5 only.
            raise ValueError("conv_channels must be even (they are gated in halves) and conv_kernel 5")
        if self.depthwise_kernel % 2 == 0:
            raise ValueError(f"depthwise_kernel must be odd, got {self.depthwise_kernel}")
        if not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout!r}")
        if type(self.frame_hop) is not int or self.frame_hop not in FRAME_HOPS:  # S3PRL needs a whole number
            raise ValueError(f"frame_hop must be 640 or 320 samples, got {self.frame_hop!r}")
        if self.normalisation not in ("utterance", "global"):
            raise ValueError(f"normalisation must be 'utterance' or 'global', got {self.normalisation!r}")
        mean, std = self.feature_mean, self.feature_std
        if self.normalisation == "utterance":
            if (mean, std) != (None, None):
                raise ValueError("feature_mean and feature_std belong to normalisation 'global'")
        elif not are_numbers(mean, self.n_mels) or not are_numbers(std, self.n_mels) or min(std or (0,)) <= 0:
            raise ValueError(
                f"normalisation 'global' needs {self.n_mels} numbers each in feature_mean and feature_std (positive)"
            )

    @classmethod
    def preset(cls, name: str) -> "EncoderConfig":
        """Return the sizes "base" (the paper's), "compact" (3.81 M parameters) or "tiny" (0.99 M).

        "tiny" is for minutes of training, for the samples and tests; "compact" for hours on a laptop.

        Raises:
            ValueError: an unknown name.
        """
        if name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}: choose from {', '.join(PRESETS)}")
        return cls(**PRESETS[name])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings and lists, as stored in checkpoints."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "EncoderConfig":
        """Reverse `to_dict`, strictly.

        Raises:
            ValueError: keys are missing or unknown, or a value is out of range.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        # Checkpoints that are older than the option have no frame_hop.
        if wrong := sorted(names ^ {"frame_hop", *values}, key=str):
            raise ValueError(f"config keys missing or unknown: {', '.join(map(str, wrong))}")
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            return cls(**arguments)
        except TypeError as error:
            raise ValueError(str(error)) from None


def state_count(samples: int, hop: int = HOP_SAMPLES) -> int:
    """Return the number of states of a waveform: one for each hop, the last one padded with zeros."""
    return math.ceil(samples / hop)


def are_numbers(values: object, count: int) -> bool:
    """Return True if `values` is a tuple or list of `count` finite numbers."""
    return (
        isinstance(values, (tuple, list))
        and len(values) == count
        and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)
    )


PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    # Without dropout in the two small ones: its random numbers take a fifth of a training step on a processor.
    # Four wide layers learn faster in minutes of training than eight narrow ones of as many parameters (docs/study.md).
    "compact": {
        "conv_channels": 256,
        "d_model": 192,
        "n_layers": 4,
        "ffn_dim": 768,
        "depthwise_kernel": 15,
        "dropout": 0.0,
    },
    "tiny": {
        "conv_channels": 128,
        "d_model": 96,
        "n_layers": 4,
        "ffn_dim": 384,
        "depthwise_kernel": 15,
        "dropout": 0.0,
    },
}
