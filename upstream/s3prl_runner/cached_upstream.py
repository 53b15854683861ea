"""Keep the states of any frozen upstream on disk, as mmpt_av's expert keeps its own (`mmpt_av/cache.py`).

The states of most encoders depend a little on the other utterances of a batch. An utterance that is missing is
therefore computed alone, and what is read later never depends on the batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.cache import StateCache, padded, weights_hash
from mmpt.upstream.mmpt_av.precision import products_dtype
from mmpt.upstream.s3prl_runner.encoder_identity import identity
from mmpt.upstream.s3prl_runner.encoder_names import EncoderName

DEFAULT_SELECTION = "hidden_states"  # of `-s`


class CachedUpstream(nn.Module):
    """A frozen upstream whose states are read from a cache, or else computed and stored.

    Its attributes are the upstream's. Its answer has what `-s` selects, and nothing else.

    Args:
        upstream: what an entry of s3prl.hub returns.
        cache: of its states.
        selection: `-s`: the key of the upstream's answer.
    """

    def __init__(self, upstream: nn.Module, cache: StateCache, selection: str = DEFAULT_SELECTION):
        super().__init__()
        self.upstream, self.cache, self.selection = upstream, cache, selection
        self._kept_out: frozenset[int] = frozenset()
        self.eval()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the upstream, such as get_downsample_rates."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("upstream"), name)

    def keep_out_of_cache(self, rows: Iterable[int]) -> None:
        """Do not store the states of these rows of the next batch: sounds that will not come again (random crops)."""
        self._kept_out = frozenset(rows)

    def forward(self, wavs: list[Tensor]) -> dict[str, list[Tensor]]:
        """Return the selected states, a list of (B, T, C), of waveforms (samples,)."""
        kept_out, self._kept_out = self._kept_out, frozenset()
        states = self.cache.states(wavs, kept_out, products_dtype(self.upstream, wavs[0].device), self._compute)
        return {self.selection: padded(states, wavs[0].device, repeat_last=True)}

    def _compute(self, wavs: list[Tensor], are_stored: bool) -> Iterator[Tensor]:
        """Yield the states (layers, T, C) of each waveform, computed alone whether they are stored or not."""
        for wav in wavs:
            with torch.no_grad():
                answer = self.upstream([wav])
            yield torch.stack([layer[0] for layer in self._selected(answer)]).cpu()

    def _selected(self, answer: dict[str, Any]) -> list[Tensor]:
        """Return what S3PRL's featurizer would select, as a list of (1, T, C) of one shape. Raises InputError."""
        found = answer.get(self.selection)
        if found is None:
            raise InputError(f"-s {self.selection}: the upstream has no such states but {', '.join(map(str, answer))}")
        layers = [found] if isinstance(found, Tensor) else list(found.values() if isinstance(found, dict) else found)
        shapes = {tuple(layer.shape) for layer in layers}
        if len(shapes) != 1 or len(layers[0].shape) != 3:
            several = " and ".join(map(str, sorted(shapes)))
            raise InputError(
                f"--cache keeps states of one shape (B, T, C), and the upstream's are {several}: leave it out"
            )
        return layers

    def train(self, mode: bool = True) -> CachedUpstream:
        """Switch to evaluation. Raises InputError for training: the states belong to frozen weights."""
        if mode:
            raise InputError("--cache keeps a frozen encoder's states: fine-tune (-f) without it")
        return super().train(mode)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Raise InputError: the states belong to the weights before."""
        raise InputError("--cache is not for an experiment whose encoder was fine-tuned")


def install(name: EncoderName, options: dict[str, Any], selection: str | None = None) -> None:
    """Let an entry of s3prl.hub return the upstream with a cache.

    Args:
        name: of the encoder; its upstream is registered.
        options: cache_dir, and perhaps cache_dtype and cache_limit_gb.
        selection: `-s`.
    """
    import s3prl.hub

    original = getattr(s3prl.hub, name.upstream)

    @functools.wraps(original)
    def entry(*args: Any, **kwargs: Any) -> CachedUpstream:
        return with_cache(original(*args, **kwargs), name, options, selection or DEFAULT_SELECTION)

    setattr(s3prl.hub, name.upstream, entry)


def with_cache(upstream: nn.Module, name: EncoderName, options: dict[str, Any], selection: str) -> CachedUpstream:
    """Return the upstream with a cache, in a folder named by all that its states depend on.

    Raises:
        InputError: the dtype is unknown, or the limit is not positive.
    """
    about = {
        "upstream": identity(name),
        "weights": weights_hash([*upstream.named_parameters(), *upstream.named_buffers()]),
        "selection": selection,
        "software": {package: version(package) for package in _packages(name)},
    }
    dtype, limit = options.get("cache_dtype"), options.get("cache_limit_gb")
    try:
        return CachedUpstream(upstream, StateCache(options["cache_dir"], about, dtype, limit), selection)
    except ValueError as error:
        raise InputError(f"--cache: {error}") from None


def _packages(name: EncoderName) -> tuple[str, ...]:
    """Return the packages whose code computes the states."""
    return ("s3prl", "transformers") if name.upstream.startswith("hf") else ("s3prl",)
