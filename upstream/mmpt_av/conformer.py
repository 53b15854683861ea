"""The Conformer's parts, on packed batches (see packing.py): sub-sampling, positions and one block.

It follows fairseq's `s2t_conformer` (Gulati et al. 2020, with absolute positions), which the paper builds on. The
parameters are laid out so that fairseq's weights map one to one.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import attend
from .depthwise import depthwise_inside
from .dropout import Dropout
from .gather import gather_rows
from .linear import Linear
from .packing import Packing, Places


class Subsampler(nn.Module):
    """Two convolutions of stride 2 with gated channels, which turn feature frames into a quarter as many states.

    It is padding-invariant: between utterances lie zeros wide enough for the kernel, restored after the first
    convolution.
    """

    def __init__(self, n_mels: int, channels: int, d_model: int, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv1d(n_mels, channels, kernel, stride=2, padding=kernel // 2)
        self.conv2 = nn.Conv1d(channels // 2, 2 * d_model, kernel, stride=2, padding=kernel // 2)

    def forward(self, feats: Tensor, frames: Packing, states: Packing) -> Tensor:
        """Sub-sample packed features.

        Args:
            feats: (frames.total, n_mels).
            frames: the places of the utterances in `feats`.
            states: their places in the result; F frames become ceil(F / 4) states.

        Returns:
            (states.total, d_model).
        """
        # Each utterance owns 4 * (T + 1) places, so that both convolutions keep their stride across utterances, and at
        # least the last 4 places (2 after the first convolution) are empty.
        places = 4 * (states.total + len(states.lengths))
        x = feats.new_zeros(places, feats.shape[1]).index_copy(0, frames.spaced(4), feats)
        x = F.glu(self.conv1(x.T.unsqueeze(0)), dim=1)
        # Fill instead of multiplying: a NaN in one utterance must not reach the next.
        x = x.masked_fill(frames.shrunk(2).blank(2), 0.0)
        x = F.glu(self.conv2(x), dim=1).squeeze(0).T  # (states.total + B, d_model)
        return x.index_select(0, states.parted())


def sinusoids(length: int, d_model: int, device: torch.device) -> Tensor:
    """Return sinusoidal positions (length, d_model), sines then cosines, counted from 2 as in fairseq."""
    half = d_model // 2
    rates = torch.exp(torch.arange(half, device=device, dtype=torch.float32) * (-math.log(10_000) / max(half - 1, 1)))
    angles = torch.arange(2, length + 2, device=device, dtype=torch.float32)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    """Multi-head self-attention inside each utterance."""

    def __init__(self, d_model: int, n_heads: int, dropout: float):
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.norm = nn.LayerNorm(d_model)
        self.qkv = Linear(d_model, 3 * d_model)
        self.out = Linear(d_model, d_model)

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """Attend inside each utterance: (total, C) to the same shape."""
        qkv = self.qkv(self.norm(x)).view(len(x), 3, self.n_heads, -1)
        heads = attend(qkv, places, self.dropout if self.training else 0.0)
        out: Tensor = self.out(heads.reshape(x.shape))
        return out


class FrameBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over valid frames.

    A lone frame has no variance: the running statistics normalise it. With `synchronised`, which DDP training sets,
    the statistics are those of all ranks' frames, on any device; PyTorch's own synchronisation is for CUDA only.
    Without `tracked` (see Encoder.untracked), a pass in training leaves the running statistics alone.
    Weights that need no gradient are frozen, and the statistics with them, in training as in evaluation.
    """

    synchronised = False
    tracked = True  # whether a pass in training moves the running statistics
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (total, C); return the same shape."""
        if self.training and not self.weight.requires_grad:
            return self.normalise_as_in_evaluation(x)
        if self.training and self.synchronised:
            return self.normalise_over_ranks(x)
        if self.training and x.shape[0] == 1:
            return self.normalise_as_in_evaluation(x)
        if self.training and not self.tracked:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return super().forward(x)

    def normalise_as_in_evaluation(self, x: Tensor) -> Tensor:
        """Normalise (total, C) by the running statistics, and leave them alone."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)

    def normalise_over_ranks(self, x: Tensor) -> Tensor:
        """Normalise (total, C) by all ranks' frames, as a single process would.

        The parallel algorithm of Chan et al. (1979) combines each rank's count, mean and squared deviations. Unlike a
        sum of squares it loses no digits.
        """
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            own_mean = wide.mean(0)
            own = torch.cat([own_mean, (wide - own_mean).square().sum(0), wide.new_full((1,), len(x))])
            everyones = gather_rows(own[None], [1] * dist.get_world_size())
            means, squares, counts = torch.split(everyones, [self.num_features, self.num_features, 1], dim=1)
            total = counts.sum()
            mean = (means * counts).sum(0) / total
            variance = (squares + counts * (means - mean).square()).sum(0) / total
            if self.tracked:
                with torch.no_grad():
                    self.num_batches_tracked += 1
                    self.running_mean.lerp_(mean, self.momentum)
                    self.running_var.lerp_(variance * total / (total - 1), self.momentum)
            normalised: Tensor = (wide - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias
            return normalised.to(x.dtype)


@contextmanager
def untracked(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of a module's batch norms alone in training."""
    norms = [norm for norm in module.modules() if isinstance(norm, FrameBatchNorm)]
    for norm in norms:
        norm.tracked = False
    try:
        yield
    finally:
        for norm in norms:
            norm.tracked = True


class Convolution(nn.Module):
    """The Conformer's convolution module: gate, depthwise convolution inside each utterance, batch norm, SiLU."""

    def __init__(self, d_model: int, kernel: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.expand = Linear(d_model, 2 * d_model, bias=False)
        self.depthwise = nn.Conv1d(d_model, d_model, kernel, padding=kernel // 2, groups=d_model, bias=False)
        self.batch_norm = FrameBatchNorm(d_model)
        self.project = Linear(d_model, d_model, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """Convolve inside each utterance: (total, C) to the same shape."""
        x = F.glu(self.expand(self.norm(x)), dim=-1)
        x = depthwise_inside(x, self.depthwise.weight, places)
        out: Tensor = self.dropout(self.project(silu(self.batch_norm(x))))
        return out


class SiLU(nn.Module):
    """The function `silu` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply SiLU to `x`, which must not be used again."""
        return silu(x)


def silu(x: Tensor) -> Tensor:
    """Apply SiLU, in place if no gradient needs `x`: new memory costs a processor more than the arithmetic."""
    return F.silu(x, inplace=not x.requires_grad)


class FeedForward(nn.Sequential):
    """LayerNorm, Linear, SiLU, Linear with dropout after both."""

    def __init__(self, d_model: int, ffn_dim: int, dropout: float):
        super().__init__(
            nn.LayerNorm(d_model),
            Linear(d_model, ffn_dim),
            SiLU(),
            Dropout(dropout),
            Linear(ffn_dim, d_model),
            Dropout(dropout),
        )


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, LayerNorm (Gulati et al. 2020, section 2)."""

    def __init__(self, d_model: int, n_heads: int, ffn_dim: int, depthwise_kernel: int, dropout: float):
        super().__init__()
        self.ffn1 = FeedForward(d_model, ffn_dim, dropout)
        self.attention = Attention(d_model, n_heads, dropout)
        self.dropout = Dropout(dropout)
        self.convolution = Convolution(d_model, depthwise_kernel, dropout)
        self.ffn2 = FeedForward(d_model, ffn_dim, dropout)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """Transform (total, C) into the same shape."""
        x = torch.add(x, self.ffn1(x), alpha=0.5)
        x = x + self.dropout(self.attention(x, places))
        x = x + self.convolution(x, places)
        x = torch.add(x, self.ffn2(x), alpha=0.5)
        out: Tensor = self.norm(x)
        return out
