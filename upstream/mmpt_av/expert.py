"""The encoder as S3PRL's runner expects it: an upstream called `UpstreamExpert`."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .cache import DEFAULT_LIMIT_GB, StateCache
from .checkpoint import load_encoder
from .config import PRECISIONS
from .errors import CheckpointError
from .nearest import did_you_mean
from .precision import computing_in

OPTIONS = ("frame_hop", "precision", "cache_dir", "cache_dtype", "cache_limit_gb")


class UpstreamExpert(nn.Module):
    """A frozen or fine-tuned encoder behind S3PRL's upstream interface.

    Args:
        ckpt: path of an encoder checkpoint.
        model_config: path of a YAML file (`-g`) with any of these options:

            - frame_hop: samples under one state, 640 or 320; default: the checkpoint's.
            - precision: of the matrix products, float32 (default) or bfloat16. The latter is faster on GPUs and on
              processors that support it, and changes states by about 0.01 to 0.04.
            - cache_dir: folder that keeps states between epochs, tasks and runs (see cache.py); relative to the file.
            - cache_dtype: float16 (default) or float32.
            - cache_limit_gb: size at which the cache stops growing.
        refresh: ignored; S3PRL's "download again" means nothing for a local file.
        options: the same options, which override those of the file.

    Raises:
        CheckpointError: the checkpoint or the YAML file cannot be used.
    """

    def __init__(self, ckpt: str, model_config: str | None = None, refresh: bool = False, **options: Any):
        super().__init__()
        options = {**read_options(model_config), **{key: value for key, value in options.items() if value is not None}}
        self.encoder = load_encoder(ckpt)
        self.cache: StateCache | None = None
        self.precision = options.get("precision") or "float32"
        try:
            if self.precision not in PRECISIONS:
                raise ValueError(f"precision must be {' or '.join(PRECISIONS)}, got {self.precision!r}")
            self.encoder.hop = options.get("frame_hop") or self.encoder.hop
            if options.get("cache_dir"):
                self.cache = StateCache(
                    options["cache_dir"],
                    self.encoder,
                    options.get("cache_dtype") or "float16",
                    options.get("cache_limit_gb") or DEFAULT_LIMIT_GB,
                )
        except (ValueError, TypeError) as error:
            raise CheckpointError(model_config or ckpt, str(error)) from None
        self._kept_out: frozenset[int] = frozenset()

    def get_downsample_rates(self, key: str) -> int:
        """Return the samples of waveform under one state, the same for every key."""
        return self.encoder.hop

    def keep_out_of_cache(self, rows: Iterable[int]) -> None:
        """Do not store the states of these rows of the next batch: sounds that will not come again (random crops)."""
        self._kept_out = frozenset(rows)

    def forward(self, wavs: list[Tensor]) -> dict[str, Any]:
        """Encode waveforms.

        Args:
            wavs: 1-D tensors (samples,), 16 kHz, in [-1, 1].

        Returns:
            `hidden_states`, a list of (B, T, C), and `last_hidden_state`.
        """
        with computing_in(self.precision, wavs[0].device):
            if self.cache is None:
                states = list(self.encoder(wavs).hidden_states)
            else:
                states = self._forward_cached(wavs, self.cache)
        return {"hidden_states": states, "last_hidden_state": states[-1]}

    def _forward_cached(self, wavs: list[Tensor], cache: StateCache) -> list[Tensor]:
        """Return each layer's states (B, T, C). Round fresh states like cached ones, so that hits and misses agree."""
        device = wavs[0].device
        computed_in = (
            torch.get_autocast_dtype(device.type)
            if torch.is_autocast_enabled(device.type)
            else self.encoder.linear.weight.dtype
        )
        paths = [None if row in self._kept_out else cache.path(wav, computed_in) for row, wav in enumerate(wavs)]
        self._kept_out = frozenset()
        found = {row: states for row, path in enumerate(paths) if path and (states := cache.get(path)) is not None}
        missing = [row for row in range(len(wavs)) if row not in found]
        if missing:
            with torch.no_grad():
                fresh = self.encoder([wavs[row] for row in missing])
            for row, padded, n in zip(missing, torch.stack(fresh.hidden_states, dim=1), fresh.lengths.tolist()):
                found[row] = self._rounded(padded[:, :n].cpu(), paths[row], cache)
        return _padded([found[row] for row in range(len(wavs))], device)

    def _rounded(self, exact: Tensor, path: Path | None, cache: StateCache) -> Tensor:
        """Return fresh states (layers, T, C) in the cache's dtype, and store them unless `path` is None."""
        rounded = exact.to(cache.dtype)
        if not rounded.isfinite().all():
            return exact  # too large for float16: correct, but not stored
        if path is not None:
            cache.put(path, rounded)
        return rounded

    def train(self, mode: bool = True) -> "UpstreamExpert":
        """Switch between training and evaluation, as in any module; an encoder with a cache stays frozen.

        Raises:
            CheckpointError: training is asked for, and there is a cache.
        """
        if mode and self.cache is not None:
            raise CheckpointError(
                self.cache.root, "the cache keeps a frozen encoder's states: fine-tune (-f) without it"
            )
        return super().train(mode)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load weights, as in any module, but not with a cache, which holds states of the weights before.

        Raises:
            CheckpointError: there is a cache.
        """
        if self.cache is not None:
            raise CheckpointError(self.cache.root, "the cache is not for an experiment whose encoder was fine-tuned")
        return super().load_state_dict(*args, **kwargs)


def _padded(items: list[Tensor], device: torch.device) -> list[Tensor]:
    """Pad states of utterances, each (layers, T, C), with zeros to one float32 batch (B, longest, C) a layer."""
    layers, _, channels = items[0].shape
    dtype = max((states.dtype for states in items), key=lambda dtype: dtype.itemsize)
    batch = torch.zeros(layers, len(items), max(states.shape[1] for states in items), channels, dtype=dtype)
    for row, states in enumerate(items):
        batch[:, row, : states.shape[1]] = states
    return list(batch.to(device).float())  # half precision travels to a GPU in half the time


def read_options(
    model_config: str | os.PathLike[str] | None, known: tuple[str, ...] = OPTIONS
) -> dict[str, Any]:
    """Read options with these names from the YAML file of `-g`; none for None.

    Raises:
        CheckpointError: the file cannot be read, or has an unknown key.
    """
    if model_config is None:
        return {}
    import yaml  # S3PRL brings it; the rest of this folder does without

    try:
        options = yaml.safe_load(Path(model_config).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(model_config, f"cannot be read as YAML: {reason}") from None
    if not isinstance(options, dict):
        raise CheckpointError(model_config, f"must hold lines 'key: value' with any of {', '.join(known)}")
    for key in options:
        if key not in known:
            raise CheckpointError(model_config, f"unknown key {key!r}; {did_you_mean(key, known)}")
    if isinstance(options.get("cache_dir"), str):
        options["cache_dir"] = str(Path(model_config).absolute().parent / Path(options["cache_dir"]).expanduser())
    return options
