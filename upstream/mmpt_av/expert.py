"""The encoder as S3PRL's runner expects it: an upstream called `UpstreamExpert`."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .cache import StateCache, padded, weights_hash
from .checkpoint import load_encoder, named_checkpoint
from .config import PRECISIONS
from .errors import CheckpointError
from .nearest import did_you_mean
from .precision import computing_in, products_dtype

OPTIONS = ("frame_hop", "precision", "cache_dir", "cache_dtype", "cache_limit_gb")


class UpstreamExpert(nn.Module):
    """A frozen or fine-tuned encoder behind S3PRL's upstream interface.

    Args:
        ckpt: path of an encoder checkpoint; default: `$MMPT_AV_CKPT`.
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
        CheckpointError: the checkpoint or the YAML file cannot be used, or there is no such option.
    """

    def __init__(self, ckpt: str | None = None, model_config: str | None = None, refresh: bool = False, **options: Any):
        super().__init__()
        path = named_checkpoint(ckpt)
        check_names(options, OPTIONS, path, "option")
        options = {**read_options(model_config), **{key: value for key, value in options.items() if value is not None}}
        self.encoder = load_encoder(path)
        self.cache: StateCache | None = None
        self._weights, self._writes = "", writes(self.encoder)
        self.precision = options.get("precision") or "float32"
        try:
            if self.precision not in PRECISIONS:
                raise ValueError(f"precision must be {' or '.join(PRECISIONS)}, got {self.precision!r}")
            self.encoder.hop = options.get("frame_hop") or self.encoder.hop
            if options.get("cache_dir"):
                self._weights = weights_hash(self.encoder.state_dict().items())
                self.cache = StateCache(
                    options["cache_dir"],
                    {"weights": self._weights, "config": self.encoder.config.to_dict()},
                    options.get("cache_dtype"),
                    options.get("cache_limit_gb"),
                )
        except (ValueError, TypeError) as error:
            raise CheckpointError(model_config or path, str(error)) from None
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
            `hidden_states`, a list of (B, T, C); `last_hidden_state`; and each layer as `hidden_state_0` and so on.
        """
        with computing_in(self.precision, wavs[0].device):
            if self.cache is None:
                states = list(self.encoder(wavs).hidden_states)
            else:
                states = self._forward_cached(wavs, self.cache)
        single = {f"hidden_state_{layer}": one for layer, one in enumerate(states)}
        return {"hidden_states": states, "last_hidden_state": states[-1], **single}

    def _forward_cached(self, wavs: list[Tensor], cache: StateCache) -> list[Tensor]:
        """Return each layer's states (B, T, C), read or computed."""
        device, kept_out = wavs[0].device, self._kept_out
        self._kept_out = frozenset()
        self._check_weights(cache)
        items = cache.states(wavs, kept_out, products_dtype(self.encoder, device), self._compute)
        states = [layer.to(self.encoder.linear.weight.dtype) for layer in padded(items, device)]
        trained = next((weight for weight in self.encoder.parameters() if weight.requires_grad), None)
        if trained is None:
            return states
        return list(_WithoutGradient.apply(cache.root, trained, *states))  # type: ignore[no-untyped-call]

    def _check_weights(self, cache: StateCache) -> None:
        """Refuse weights that are no longer those of the cache. Hash them only if they were written to."""
        now = writes(self.encoder)
        if now == self._writes:
            return
        if weights_hash(self.encoder.state_dict().items()) != self._weights:
            problem = "holds states of other weights: the encoder was trained or loaded anew since the cache was opened"
            raise CheckpointError(cache.root, problem)
        self._writes = now

    @torch.no_grad()
    def _compute(self, wavs: list[Tensor], are_stored: bool) -> list[Tensor]:
        """Return the states (layers, T, C) of each waveform.

        On a CPU each that is stored is computed alone: in a batch its last bits depend on the others, so what is kept
        would depend on which job came first. On a GPU that would take several times as long.
        """
        are_alone = are_stored and wavs[0].device.type == "cpu"
        batches = [[wav] for wav in wavs] if are_alone else [wavs]
        return [states for batch in batches for states in self._states(batch)]

    def _states(self, wavs: list[Tensor]) -> list[Tensor]:
        fresh = self.encoder(wavs)
        layers = torch.stack(fresh.hidden_states, dim=1)
        return [states[:, :n].cpu() for states, n in zip(layers, fresh.lengths.tolist(), strict=True)]

    def train(self, mode: bool = True) -> "UpstreamExpert":
        """Switch between training and evaluation, as in any module; an encoder with a cache stays in evaluation."""
        super().train(mode)
        if self.cache is not None:
            self.encoder.eval()
        return self


class _WithoutGradient(torch.autograd.Function):
    """Kept states, which raise an error where a gradient is wanted: the encoder would be trained in vain."""

    @staticmethod
    def forward(ctx: Any, folder: Path, weight: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        ctx.folder = folder
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        problem = (
            "the cache keeps the states of a frozen encoder, which have no gradient: leave out cache_dir to train the "
            "encoder; else call it under torch.no_grad() or clear its requires_grad"
        )
        raise CheckpointError(ctx.folder, problem)


def writes(module: nn.Module) -> list[int]:
    """Return how often each parameter was written to."""
    return [0 if weight.is_inference() else weight._version for weight in module.parameters()]


def read_options(model_config: str | os.PathLike[str] | None, known: tuple[str, ...] = OPTIONS) -> dict[str, Any]:
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
    check_names(options, known, model_config, "key")
    if isinstance(options.get("cache_dir"), str):
        options["cache_dir"] = str(Path(model_config).absolute().parent / Path(options["cache_dir"]).expanduser())
    return options


def check_names(options: Mapping[str, Any], known: tuple[str, ...], owner: str | os.PathLike[str], kind: str) -> None:
    """Raise CheckpointError if an option's name is unknown. `owner`: file that the error names."""
    for name in options:
        if name not in known:
            raise CheckpointError(owner, f"unknown {kind} {name!r}; {did_you_mean(name, known)}")
