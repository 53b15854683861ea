"""The blocks of a plain Vision Transformer, and their initialisation."""

import torch
from torch import nn


def transformer(d_model: int, n_layers: int, n_heads: int) -> nn.ModuleList:
    """Return the blocks of a plain Vision Transformer (Dosovitskiy et al. 2021), over (B, T, d_model)."""
    return nn.ModuleList(
        nn.TransformerEncoderLayer(d_model, n_heads, 4 * d_model, 0.0, "gelu", batch_first=True, norm_first=True)
        for _ in range(n_layers)
    )


@torch.no_grad()
def attend_to_neighbours(blocks: nn.ModuleList) -> None:
    """Initialise queries and keys near the identity (mimetic initialisation, Trockman & Kolter 2023).

    Attention then starts between similar tokens, which neighbours are by their positions, and need not learn it first.
    """
    for block in blocks:
        assert isinstance(block, nn.TransformerEncoderLayer)
        for weight in block.self_attn.in_proj_weight.chunk(3)[:2]:  # of queries and keys, not of values
            weight.mul_(0.3).add_(0.8 * torch.eye(len(weight)))
