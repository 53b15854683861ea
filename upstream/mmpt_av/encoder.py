"""The audio encoder: waveforms to hidden states."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from .config import HOP_SAMPLES, EncoderConfig, state_count
from .conformer import ConformerBlock, Subsampler, sinusoids
from .dropout import Dropout
from .filterbank import SHIFT_SAMPLES, Filterbank
from .packing import Doubling, Packing


@dataclass
class EncoderOutput:
    """The output of an encoder.

    Attributes:
        hidden_states: the input of the first block, then each block's output; each (B, T, C), zero past an item's end.
        lengths: valid states of each item, (B,).
    """

    hidden_states: tuple[Tensor, ...]
    lengths: Tensor


class Encoder(nn.Module):
    """Log-mel filterbank, convolutional sub-sampling by four, Conformer blocks.

    There is one state every 640 samples (40 ms), or with `frame_hop` 320, by interpolation, one every 320. The states
    of an utterance do not depend on the rest of the batch: nothing is computed on padding (see packing.py).

    Examples:
        >>> encoder = Encoder(EncoderConfig.preset("base")).eval()
        >>> encoder([torch.randn(16000)]).hidden_states[-1].shape
        torch.Size([1, 25, 256])
    """

    provenance: dict[str, Any]
    """Where the weights come from; `load_encoder` sets it."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.filterbank = Filterbank(config.n_mels, HOP_SAMPLES, config.feature_mean, config.feature_std)
        self.subsampler = Subsampler(config.n_mels, config.conv_channels, config.d_model, config.conv_kernel)
        self.linear = nn.Linear(config.d_model, config.d_model)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            ConformerBlock(config.d_model, config.n_heads, config.ffn_dim, config.depthwise_kernel, config.dropout)
            for _ in range(config.n_layers)
        )

    @property
    def hop(self) -> int:
        """Samples of waveform under one output state."""
        return self.config.frame_hop

    @hop.setter
    def hop(self, samples: int) -> None:
        self.config = dataclasses.replace(self.config, frame_hop=samples)

    def compile_feed_forwards(self) -> None:
        """Let torch compile the feed-forward layers at their first use.

        Attention and convolution depend on the lengths of the utterances and would be compiled anew for each batch.
        """
        for block in self.blocks:
            cast(ConformerBlock, block).ffn1.compile(dynamic=True)
            cast(ConformerBlock, block).ffn2.compile(dynamic=True)

    def forward(self, wavs: list[Tensor]) -> EncoderOutput:
        """Encode waveforms.

        Args:
            wavs: 1-D float tensors (samples,), 16 kHz, in [-1, 1]; any length from one sample.

        Returns:
            hidden_states of T = ceil(longest / hop) states, and each item's number of states, ceil(samples / hop).

        Raises:
            ValueError: an empty list, or a waveform that is empty or not one-dimensional.
        """
        feats, frames = self.filterbank.packed(wavs)
        return self._encode(feats, frames, [state_count(len(wav), self.hop) for wav in wavs])

    def encode_features(self, feats: list[Tensor]) -> EncoderOutput:
        """Encode normalised features.

        Args:
            feats: (frames, n_mels) of each utterance; F frames give ceil(F / 4) states, at hop 320 ceil(F / 2).

        Raises:
            ValueError: an empty list, or features without a frame or with another number of bins.
        """
        return self._encode(*self._pack(feats), [math.ceil(len(one) * SHIFT_SAMPLES / self.hop) for one in feats])

    def _encode(self, feats: Tensor, frames: Packing, lengths: list[int]) -> EncoderOutput:
        """Return every block's states, `lengths` of each utterance, of packed features."""
        x, packing = self._embed(feats, frames)
        finish = packing.unpack
        if self.hop != HOP_SAMPLES:
            doubling = Doubling(packing, lengths)
            finish = doubling.unpack
        states = [finish(x)]
        for block in self.blocks:
            x = block(x, packing)
            states.append(finish(x))
        return EncoderOutput(tuple(states), torch.tensor(lengths, device=x.device))

    def embed(self, feats: list[Tensor]) -> tuple[Tensor, Packing]:
        """Return the input of the first block, packed (total states, C), and the places of the utterances.

        Args and errors as of `encode_features`.
        """
        return self._embed(*self._pack(feats))

    def _pack(self, feats: list[Tensor]) -> tuple[Tensor, Packing]:
        """Check the features of each utterance, and pack them."""
        if len(feats) == 0:
            raise ValueError("no features given")
        for one in feats:
            if one.dim() != 2 or one.shape[0] == 0 or one.shape[1] != self.config.n_mels:
                raise ValueError(f"features must be (frames, {self.config.n_mels}), got shape {tuple(one.shape)}")
        return torch.cat(feats), Packing([one.shape[0] for one in feats], feats[0].device)

    def _embed(self, feats: Tensor, frames: Packing) -> tuple[Tensor, Packing]:
        """Sub-sample packed features and add positions."""
        packing = Packing([math.ceil(n / 4) for n in frames.lengths], feats.device)
        # Full precision on a processor: this is a twentieth of the work, and bfloat16 would double all states' error.
        with torch.autocast("cpu", enabled=False):
            x = self.subsampler(feats, frames, packing) * math.sqrt(self.config.d_model)
            positions = sinusoids(packing.longest, self.config.d_model, feats.device)
            x = x + torch.cat([positions[:n] for n in packing.lengths])
            x = self.dropout(self.linear(x))
        return x.to(self.linear.weight.dtype), packing  # with autocast, too, the blocks add to it in full precision

    def encode_packed(self, x: Tensor, packing: Packing) -> Tensor:
        """Run the blocks over embedded states (total, C); return the last block's output, packed.

        Training needs no more, and no block's padded output is kept. `hop` has no effect: a state has 640 samples.
        """
        for block in self.blocks:
            x = block(x, packing)
        return x
