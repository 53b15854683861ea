"""The blocks of a plain Vision Transformer, and their initialisation."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.upstream.mmpt_av.attention import to_visible
from mmpt.upstream.mmpt_av.linear import Linear, linear


class SelfAttention(nn.Module):
    """Multi-head self-attention. Its parameters have the names and the initialisation of `nn.MultiheadAttention`."""

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * d_model, d_model))  # queries, keys, values
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * d_model))
        self.out_proj = Linear(d_model, d_model)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, visible: Tensor | None) -> Tensor:
        """Attend to the visible tokens (see TransformerBlock.forward): (B, T, d_model) to the same shape."""
        qkv = linear(x, self.in_proj_weight, self.in_proj_bias).unflatten(2, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, T, d_model / heads)
        heads = F.scaled_dot_product_attention(q, k, v) if visible is None else to_visible(q, k, v, visible)
        out: Tensor = self.out_proj(heads.transpose(1, 2).flatten(2))
        return out


class TransformerBlock(nn.Module):
    """Pre-norm block: attention, then a feed-forward layer of four times the width (Dosovitskiy et al. 2021).

    It computes what `nn.TransformerEncoderLayer` does without dropout, and has its parameters. Unlike that one, which
    is part of PyTorch, torch.compile compiles it whole.
    """

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.self_attn = SelfAttention(d_model, n_heads)
        self.linear1 = Linear(d_model, 4 * d_model)
        self.linear2 = Linear(4 * d_model, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Transform (B, T, d_model) into the same shape.

        Args:
            x: tokens.
            visible: (B, T) bool, False on padding, which no token attends to; None without padding.
        """
        x = x + self.self_attn(self.norm1(x), visible)
        out: Tensor = x + self.linear2(F.gelu(self.linear1(self.norm2(x))))
        return out


def transformer(d_model: int, n_layers: int, n_heads: int) -> nn.ModuleList:
    """Return the blocks of a plain Vision Transformer, over (B, T, d_model)."""
    return nn.ModuleList(TransformerBlock(d_model, n_heads) for _ in range(n_layers))


def compile_transformer(blocks: nn.ModuleList, backend: Any = "inductor") -> None:
    """Let torch compile the blocks at their first use: once for all of them, and for batches of any size."""
    for block in blocks:
        block.compile(dynamic=True, backend=backend)


@torch.no_grad()
def attend_to_neighbours(blocks: nn.ModuleList) -> None:
    """Initialise queries and keys near the identity (mimetic initialisation, Trockman & Kolter 2023).

    Attention then starts between similar tokens, which neighbours are by their positions, and need not learn it first.
    """
    for block in blocks:
        assert isinstance(block, TransformerBlock)
        for weight in block.self_attn.in_proj_weight.chunk(3)[:2]:  # of queries and keys, not of values
            weight.mul_(0.3).add_(0.8 * torch.eye(len(weight)))
