"""The audio encoder: waveforms to hidden states."""

import dataclasses
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .config import HOP_SAMPLES, EncoderConfig, state_count
from .conformer import ConformerBlock, Subsampler, sinusoids, untracked
from .dropout import Dropout
from .filterbank import Filterbank, layout_of
from .layout import SHIFT_SAMPLES, prepare_for_encoder
from .linear import Linear
from .packing import Doubling, Packing
from .recompute import run_block


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

    checkpointing = False
    """Whether `encode_packed` keeps no activations of blocks in training (see recompute.py)."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.filterbank = Filterbank(config.n_mels, config.feature_mean, config.feature_std)
        self.subsampler = Subsampler(config.n_mels, config.conv_channels, config.d_model, config.conv_kernel)
        self.linear = Linear(config.d_model, config.d_model)
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

    def compile_blocks(self, backend: Any = "inductor") -> None:
        """Let torch compile the blocks at their first use: once for all of them, and for batches of any size.

        If the encoder is on a GPU now, the front end is compiled, too.
        """
        if self.linear.weight.device.type == "cuda":
            self.filterbank.compile_energies(backend)
        for block in self.blocks:
            block.compile(dynamic=True, backend=backend)

    def untracked(self) -> AbstractContextManager[None]:
        """Leave the running batch statistics alone in training: for passes over parts of the utterances."""
        return untracked(self)

    def forward(self, wavs: list[Tensor]) -> EncoderOutput:
        """Encode waveforms.

        Args:
            wavs: 1-D float tensors (samples,), 16 kHz, in [-1, 1]; any length from one sample.

        Returns:
            hidden_states of T = ceil(longest / hop) states, and each item's number of states, ceil(samples / hop).

        Raises:
            ValueError: an empty list, or a waveform that is empty or not one-dimensional.
        """
        layout = layout_of(wavs).prepare().to(wavs[0].device)
        feats = self.filterbank.packed(layout.join(wavs), layout)
        return self._encode(feats, layout.frames, [state_count(n, self.hop) for n in layout.samples])

    def encode_features(self, feats: list[Tensor]) -> EncoderOutput:
        """Encode normalised features.

        Args:
            feats: (frames, n_mels) of each utterance; F frames give ceil(F / 4) states, at hop 320 ceil(F / 2).

        Raises:
            ValueError: an empty list, or features without a frame or with another number of bins.
        """
        return self._encode(*self.pack(feats), [math.ceil(len(one) * SHIFT_SAMPLES / self.hop) for one in feats])

    def _encode(self, feats: Tensor, frames: Packing, lengths: list[int]) -> EncoderOutput:
        """Return every block's states, `lengths` of each utterance, of packed features."""
        x, packing = self.embed(feats, frames)
        finish = packing.unpack
        if self.hop != HOP_SAMPLES:
            doubling = Doubling(packing, lengths)
            finish = doubling.unpack
        states, places = [finish(x)], packing.places()
        for block in self.blocks:
            x = block(x, places)
            states.append(finish(x))
        return EncoderOutput(tuple(states), torch.tensor(lengths, device=x.device))

    def pack(self, feats: list[Tensor]) -> tuple[Tensor, Packing]:
        """Return the features of all utterances, one after another, and their places; arguments as `encode_features`.

        Raises:
            ValueError: an empty list, or features without a frame or with another number of bins.
        """
        if len(feats) == 0:
            raise ValueError("no features given")
        for one in feats:
            if one.dim() != 2 or one.shape[0] == 0 or one.shape[1] != self.config.n_mels:
                raise ValueError(f"features must be (frames, {self.config.n_mels}), got shape {tuple(one.shape)}")
        return torch.cat(feats), prepare_for_encoder(Packing([one.shape[0] for one in feats])).to(feats[0].device)

    def embed(self, feats: Tensor, frames: Packing) -> tuple[Tensor, Packing]:
        """Sub-sample packed features and add positions.

        Args:
            feats: (frames.total, n_mels), normalised.
            frames: the places of the utterances in `feats`.

        Returns:
            The input of the first block, packed (total states, C), and the places of the utterances in it.
        """
        packing = frames.shrunk(4)
        dtype = self.subsampler.conv1.weight.dtype  # weights of linear layers may be copies, see HalfWeights
        # Full precision on a processor: this is a twentieth of the work, and bfloat16 would double all states' error.
        with torch.autocast("cpu", enabled=False):
            x = self.subsampler(feats.to(dtype), frames, packing) * math.sqrt(self.config.d_model)
            positions = sinusoids(packing.longest, self.config.d_model, feats.device)
            x = x + positions.index_select(0, packing.within())
            x = self.dropout(self.linear(x.to(dtype)))
        return x.to(dtype), packing  # with autocast, too, the blocks add to it in full precision

    def encode_packed(self, x: Tensor, packing: Packing) -> Tensor:
        """Run the blocks over embedded states (total, C); return the last block's output, packed.

        Training needs no more, and no block's padded output is kept. `hop` has no effect: a state has 640 samples.
        """
        places = packing.places()
        for block in self.blocks:
            x = run_block(block, x, places, checkpointing=self.checkpointing)
        return x
