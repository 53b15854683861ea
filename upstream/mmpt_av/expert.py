"""The encoder as S3PRL's runner wants it: an upstream called `UpstreamExpert`."""

from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from .cache import DEFAULT_LIMIT_GB, StateCache
from .checkpoint import load_encoder
from .errors import CheckpointError
from .nearest import did_you_mean

OPTIONS = ("frame_hop", "precision", "cache_dir", "cache_dtype", "cache_limit_gb")
PRECISIONS = ("float32", "bfloat16")


class UpstreamExpert(nn.Module):
    """A frozen or fine-tuned encoder behind S3PRL's upstream interface.

    Args:
        ckpt: path of an encoder checkpoint.
        model_config: path of a YAML file (`-g`) with any of
            frame_hop: 640 or 320 samples under one state, in place of the checkpoint's;
            precision: float32 (default) or bfloat16, of the products; faster on GPUs and on processors that have it, and moves states by some 0.01 to 0.04;
            cache_dir: where states are kept between epochs, tasks and runs (see cache.py); relative to the file;
            cache_dtype: float16 (default) or float32;
            cache_limit_gb: size at which the cache stops growing.
        options: the same, above those of the file.

    Raises:
        CheckpointError: the checkpoint or the YAML file cannot be used.
    """

    def __init__(self, ckpt: str, model_config: str | None = None, refresh: bool = False, **options):
        super().__init__()
        del refresh  # S3PRL's "download again" means nothing for a local file
        options = {**read_options(model_config), **{key: value for key, value in options.items() if value is not None}}
        self.encoder = load_encoder(ckpt)
        self.cache = None
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
        self.not_kept: set[int] = set()
        """Positions in the next batch whose sound will not come again (random crops): the cache is not asked to keep them."""

    def get_downsample_rates(self, key: str) -> int:
        """Samples of waveform under one state, the same for every key."""
        return self.encoder.hop

    def forward(self, wavs: list[Tensor]) -> dict:
        """wavs: list of (samples,). Returns `hidden_states`, a list of (B, T, C), and `last_hidden_state`."""
        with torch.autocast(wavs[0].device.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext():
            states = list(self.encoder(wavs).hidden_states) if self.cache is None else self._forward_cached(wavs)
        return {"hidden_states": states, "last_hidden_state": states[-1]}

    def _forward_cached(self, wavs: list[Tensor]) -> list[Tensor]:
        """As `forward`. What is computed now is rounded as what was kept before, so that a result does not hang on which
        is which.
        """
        cache, device = self.cache, wavs[0].device
        computed_in = (
            torch.get_autocast_dtype(device.type)
            if torch.is_autocast_enabled(device.type)
            else self.encoder.linear.weight.dtype
        )
        paths = [None if row in self.not_kept else cache.path(wav, computed_in) for row, wav in enumerate(wavs)]
        self.not_kept = set()
        found = [path and cache.get(path) for path in paths]
        missing = [row for row, states in enumerate(found) if states is None]
        if missing:
            with torch.no_grad():
                fresh = self.encoder([wavs[row] for row in missing])
            for row, states, n in zip(missing, torch.stack(fresh.hidden_states, dim=1), fresh.lengths.tolist()):
                exact = states[:, :n].cpu()
                found[row] = exact.to(cache.dtype)
                if not found[row].isfinite().all():
                    found[row] = exact  # too large for float16: right, but not kept
                elif paths[row] is not None:
                    cache.put(paths[row], found[row])
        layers, _, channels = found[0].shape
        kind = max((states.dtype for states in found), key=lambda dtype: dtype.itemsize)
        batch = torch.zeros(layers, len(wavs), max(states.shape[1] for states in found), channels, dtype=kind)
        for row, states in enumerate(found):
            batch[:, row, : states.shape[1]] = states
        return list(batch.to(device).float())  # half precision travels to a GPU in half the time

    def train(self, mode: bool = True) -> "UpstreamExpert":
        """As of any module, but an encoder with a cache is frozen.

        Raises:
            CheckpointError: training is asked for.
        """
        if mode and self.cache is not None:
            raise CheckpointError(
                self.cache.root, "the cache keeps a frozen encoder's states: fine-tune (-f) without it"
            )
        return super().train(mode)

    def load_state_dict(self, *args, **kwargs):
        """As of any module, but not under a cache, which holds states of the weights that were there first.

        Raises:
            CheckpointError: there is a cache.
        """
        if self.cache is not None:
            raise CheckpointError(self.cache.root, "the cache is not for an experiment whose encoder was fine-tuned")
        return super().load_state_dict(*args, **kwargs)


def read_options(model_config: str | None) -> dict:
    """What the YAML file of `-g` says; nothing for None.

    Raises:
        CheckpointError: it cannot be read, or has an unknown key.
    """
    if model_config is None:
        return {}
    import yaml  # S3PRL brings it; the rest of this folder does without

    try:
        options = yaml.safe_load(Path(model_config).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(
            model_config, f"cannot be read as YAML: {getattr(error, 'strerror', None) or error}"
        ) from None
    if not isinstance(options, dict):
        raise CheckpointError(model_config, f"must hold lines 'key: value' with any of {', '.join(OPTIONS)}")
    for key in options:
        if key not in OPTIONS:
            raise CheckpointError(model_config, f"unknown key {key!r}; {did_you_mean(key, OPTIONS)}")
    if isinstance(options.get("cache_dir"), str):
        options["cache_dir"] = str(Path(model_config).absolute().parent / Path(options["cache_dir"]).expanduser())
    return options
