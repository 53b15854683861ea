"""The audio encoder: waveforms to hidden states."""

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import HOP_SAMPLES, EncoderConfig
from .conformer import ConformerBlock, Subsampler, sinusoids
from .dropout import Dropout
from .filterbank import SHIFT_SAMPLES, Filterbank
from .packing import Doubling, Packing


@dataclass
class EncoderOutput:
    """What an encoder returns.

    hidden_states: the input of the first block, then each block's output; each (B, T, C), zero past an item's length.
    lengths: valid states of each item, (B,).
    """

    hidden_states: tuple[Tensor, ...]
    lengths: Tensor


class Encoder(nn.Module):
    """Log-mel filterbank, convolutional sub-sampling by four, Conformer blocks. One state every 640 samples (40 ms), or
    with `frame_hop` 320 and interpolation one every 320.

    An utterance's states do not depend on what else is in the batch: padding is never computed on (see packing.py).

    >>> encoder = Encoder(EncoderConfig.preset("base")).eval()
    >>> encoder([torch.randn(16000)]).hidden_states[-1].shape
    torch.Size([1, 25, 256])
    """

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
        """Samples of waveform under one state that comes out."""
        return self.config.frame_hop

    @hop.setter
    def hop(self, samples: int) -> None:
        self.config = dataclasses.replace(self.config, frame_hop=samples)

    def compile_feed_forwards(self) -> None:
        """Has torch compile, at their first use, the layers that look at one frame at a time. Attention and convolution of
        utterances of many lengths would be compiled anew for each batch.
        """
        for block in self.blocks:
            block.ffn1.compile(dynamic=True)
            block.ffn2.compile(dynamic=True)

    def forward(self, wavs: list[Tensor]) -> EncoderOutput:
        """States of waveforms.

        Args:
            wavs: 1-D float tensors (samples,), 16 kHz, in [-1, 1]; any length from one sample.

        Returns:
            hidden_states of T = ceil(longest / hop) states, and each item's ceil(samples / hop).

        Raises:
            ValueError: an empty list, or a waveform that is empty or not one-dimensional.
        """
        feats, frames = self.filterbank(wavs)
        return self._encode(
            [item[:n] for item, n in zip(feats, frames)], [math.ceil(len(wav) / self.hop) for wav in wavs]
        )

    def encode_features(self, feats: list[Tensor]) -> EncoderOutput:
        """States of normalised features: a list of (frames, n_mels); F frames give ceil(F / 4) states, or ceil(F / 2) at
        hop 320.

        Raises:
            ValueError: an empty list, or features of no frame or of another number of bins.
        """
        return self._encode(feats, [math.ceil(len(one) * SHIFT_SAMPLES / self.hop) for one in feats])

    def _encode(self, feats: list[Tensor], lengths: list[int]) -> EncoderOutput:
        """Every block's states, `lengths` of each utterance."""
        x, packing = self.embed(feats)
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
        """The input of the first block, packed (total states, C), and where each utterance lies."""
        if len(feats) == 0:
            raise ValueError("no features given")
        for one in feats:
            if one.dim() != 2 or one.shape[0] == 0 or one.shape[1] != self.config.n_mels:
                raise ValueError(f"features must be (frames, {self.config.n_mels}), got shape {tuple(one.shape)}")
        device = feats[0].device
        frames = Packing([one.shape[0] for one in feats], device)
        packing = Packing([math.ceil(n / 4) for n in frames.lengths], device)
        # Not in half precision on a processor, where this is a twentieth of the work and would double the error of all states.
        with torch.autocast("cpu", enabled=False):
            x = self.subsampler(torch.cat(feats), frames, packing) * math.sqrt(self.config.d_model)
            positions = sinusoids(packing.longest, self.config.d_model, device)
            x = x + torch.cat([positions[:n] for n in packing.lengths])
            x = self.dropout(self.linear(x))
        return x.to(self.linear.weight.dtype), packing  # under autocast, too, the blocks add to it in full precision

    def encode_packed(self, x: Tensor, packing: Packing) -> Tensor:
        """Runs the blocks over embedded states (total, C) and returns the last block's output, packed: what training
        needs, without keeping every block's padded output. A state every 640 samples, whatever `hop` says.
        """
        for block in self.blocks:
            x = block(x, packing)
        return x
