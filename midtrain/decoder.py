"""The translation model's text decoder: a Transformer (Vaswani et al. 2017) with normalisation before each layer."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.midtrain.vocabulary import PAD
from mmpt.training.settings import require
from mmpt.upstream.mmpt_av.conformer import sinusoids


@dataclass(frozen=True)
class DecoderSettings:
    """Sizes; the width is the encoder's. Defaults: fairseq's MuST-C recipe (s2t_transformer_s)."""

    n_layers: int = 6
    n_heads: int = 4
    ffn_dim: int = 2048
    dropout: float = 0.1

    def __post_init__(self):
        require(
            min(self.n_layers, self.n_heads, self.ffn_dim) >= 1,
            "decoder.n_layers, n_heads and ffn_dim must be at least 1",
        )
        require(0 <= self.dropout < 1, f"decoder.dropout must lie in [0, 1), got {self.dropout:g}")


@dataclass
class Memory:
    """What is known of an utterance once its keys and values are computed.

    keys_values: for each layer, keys and values of the encoder's states, (B, heads, S, C / heads) each.
    visible: (B, 1, 1, S), False on padding.
    """

    keys_values: list[tuple[Tensor, Tensor]]
    visible: Tensor

    def select(self, rows: Tensor) -> "Memory":
        """The memory of some of the batch's items, in the order of `rows`."""
        return Memory([(k[rows], v[rows]) for k, v in self.keys_values], self.visible[rows])


class Past:
    """Keys and values of the tokens decoded so far, for each layer."""

    def __init__(self, n_layers: int):
        self.keys_values: list[tuple[Tensor, Tensor] | None] = [None] * n_layers
        self.length = 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Appends to a layer's keys and values (B, heads, L, C / heads) and returns all of them."""
        if self.keys_values[layer] is not None:
            keys, values = (torch.cat([old, new], dim=2) for old, new in zip(self.keys_values[layer], (keys, values)))
        self.keys_values[layer] = (keys, values)
        return keys, values

    def select(self, rows: Tensor) -> None:
        """Keeps some of the batch's items, in the order of `rows`."""
        self.keys_values = [(k.index_select(0, rows), v.index_select(0, rows)) for k, v in self.keys_values]


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the encoder's states, feed-forward; each on normalised input, added to it."""

    def __init__(self, d_model: int, settings: DecoderSettings):
        super().__init__()
        self.n_heads = settings.n_heads
        self.attention_dropout = settings.dropout
        self.self_norm = nn.LayerNorm(d_model)
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.self_out = nn.Linear(d_model, d_model)
        self.cross_norm = nn.LayerNorm(d_model)
        self.cross_query = nn.Linear(d_model, d_model)
        self.cross_kv = nn.Linear(d_model, 2 * d_model)
        self.cross_out = nn.Linear(d_model, d_model)
        self.ffn = nn.Sequential(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, settings.ffn_dim),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.ffn_dim, d_model),
        )
        self.dropout = nn.Dropout(settings.dropout)
        for linear in (
            self.qkv,
            self.self_out,
            self.cross_query,
            self.cross_kv,
            self.cross_out,
            self.ffn[1],
            self.ffn[4],
        ):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def heads(self, x: Tensor, parts: int) -> list[Tensor]:
        """(B, L, parts * C) to `parts` tensors (B, heads, L, C / heads)."""
        return [part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in x.chunk(parts, dim=-1)]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, out: nn.Linear, **masking) -> Tensor:
        dropout = self.attention_dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, **masking)
        return self.dropout(out(x.transpose(1, 2).flatten(2)))

    def forward(
        self, x: Tensor, memory: tuple[Tensor, Tensor], visible: Tensor, past: Past | None, index: int
    ) -> Tensor:
        """x: (N, L, C), the whole text without `past`, one further token with it. Returns the same shape.

        N is a multiple of the memory's B: an utterance's hypotheses, which follow one another, share its keys and values.
        """
        q, k, v = self.heads(self.qkv(self.self_norm(x)), 3)
        if past is not None:
            k, v = past.extend(index, k, v)
        x = x + self.attend(q, k, v, self.self_out, is_causal=past is None)
        shared = self.cross_norm(x).view(
            len(visible), -1, x.shape[-1]
        )  # positions of all hypotheses of an utterance, side by side
        (q,) = self.heads(self.cross_query(shared), 1)
        x = x + self.attend(q, *memory, self.cross_out, attn_mask=visible).view(x.shape)
        return x + self.dropout(self.ffn(x))


class Decoder(nn.Module):
    """Tokens and encoder states to the next token's logits. One embedding serves input and output, as in the recipe.

    Args:
        d_model: width, the encoder's.
        vocabulary_size: number of tokens.
    """

    def __init__(self, d_model: int, vocabulary_size: int, settings: DecoderSettings):
        super().__init__()
        require(
            d_model % settings.n_heads == 0,
            f"decoder.n_heads={settings.n_heads} does not divide the encoder's width {d_model}",
        )
        self.d_model = d_model
        self.embedding = nn.Embedding(vocabulary_size, d_model, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        with torch.no_grad():
            self.embedding.weight[PAD].zero_()
        self.dropout = nn.Dropout(settings.dropout)
        self.layers = nn.ModuleList(DecoderLayer(d_model, settings) for _ in range(settings.n_layers))
        self.norm = nn.LayerNorm(d_model)

    def remember(self, states: Tensor, lengths: Tensor) -> Memory:
        """The memory of encoder states (B, S, C), of which `lengths` (B,) are valid."""
        visible = torch.arange(states.shape[1], device=states.device)[None] < lengths[:, None]
        keys_values = [tuple(layer.heads(layer.cross_kv(states), 2)) for layer in self.layers]
        return Memory(keys_values, visible[:, None, None])

    def forward(self, tokens: Tensor, memory: Memory, past: Past | None = None) -> Tensor:
        """Last states (N, L, C) of tokens (N, L); `logits` makes predictions of them. N is the memory's B, or B times the
        number of hypotheses, those of an utterance one after another.

        Padding lies to the right of a text, where causal attention does not look. With `past`, `tokens` are the one
        token (N, 1) that follows what was decoded before.
        """
        start = past.length if past else 0
        positions = sinusoids(start + tokens.shape[1], self.d_model, tokens.device)[start:]
        x = self.dropout(self.embedding(tokens) * math.sqrt(self.d_model) + positions)
        for index, layer in enumerate(self.layers):
            x = layer(x, memory.keys_values[index], memory.visible, past, index)
        if past:
            past.length += tokens.shape[1]
        return self.norm(x)

    def logits(self, states: Tensor) -> Tensor:
        """(..., C) to (..., vocabulary)."""
        return F.linear(states, self.embedding.weight)
