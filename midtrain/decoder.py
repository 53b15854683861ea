"""Text decoder of the translation model: a Transformer (Vaswani et al. 2017) that normalises before each layer."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.midtrain.settings import DecoderSettings
from mmpt.midtrain.vocabulary import PAD
from mmpt.training.settings import require
from mmpt.upstream.mmpt_av.conformer import sinusoids
from mmpt.upstream.mmpt_av.dropout import Dropout
from mmpt.upstream.mmpt_av.linear import Linear, linear
from mmpt.upstream.mmpt_av.recompute import run_block


@dataclass
class Memory:
    """What the decoder keeps of a batch of utterances, so that it computes their keys and values only once."""

    keys_values: list[tuple[Tensor, Tensor]]  # of the encoder's states, by layer: (B, heads, S, C / heads) each
    visible: Tensor  # (B, 1, 1, S), False on padding

    def select(self, rows: Tensor) -> "Memory":
        """Return the memory of some utterances of the batch, in the order of `rows`."""
        return Memory([(k[rows], v[rows]) for k, v in self.keys_values], self.visible[rows])


class Past:
    """Keys and values of the tokens decoded so far, by layer."""

    def __init__(self, n_layers: int):
        self.keys_values: list[tuple[Tensor, Tensor] | None] = [None] * n_layers
        self.length = 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append to a layer's keys and values, (B, heads, L, C / heads) each, and return all of them."""
        if (before := self.keys_values[layer]) is not None:
            keys, values = (torch.cat([old, new], dim=2) for old, new in zip(before, (keys, values)))
        self.keys_values[layer] = (keys, values)
        return keys, values

    def select(self, rows: Tensor) -> None:
        """Keep some texts of the batch, in the order of `rows`; every layer must have been extended."""
        kept = [(k.index_select(0, rows), v.index_select(0, rows)) for k, v in filter(None, self.keys_values)]
        self.keys_values = [*kept]


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the encoder's states, feed-forward; each reads normalised input."""

    def __init__(self, d_model: int, settings: DecoderSettings):
        super().__init__()
        self.n_heads = settings.n_heads
        self.attention_dropout = settings.dropout
        self.self_norm = nn.LayerNorm(d_model)
        self.qkv = Linear(d_model, 3 * d_model)
        self.self_out = Linear(d_model, d_model)
        self.cross_norm = nn.LayerNorm(d_model)
        self.cross_query = Linear(d_model, d_model)
        self.cross_kv = Linear(d_model, 2 * d_model)
        self.cross_out = Linear(d_model, d_model)
        widen, narrow = Linear(d_model, settings.ffn_dim), Linear(settings.ffn_dim, d_model)
        dropout = Dropout(settings.dropout)
        self.ffn = nn.Sequential(nn.LayerNorm(d_model), widen, nn.ReLU(), dropout, narrow)
        self.dropout = Dropout(settings.dropout)
        for layer in (self.qkv, self.self_out, self.cross_query, self.cross_kv, self.cross_out, widen, narrow):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def heads(self, x: Tensor, parts: int) -> list[Tensor]:
        """Split (B, L, parts * C) into `parts` tensors (B, heads, L, C / heads)."""
        return [part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in x.chunk(parts, dim=-1)]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, out: Linear, **masking: Any) -> Tensor:
        """Return attention's output (N, L, C); `masking` goes to scaled_dot_product_attention."""
        dropout = self.attention_dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, **masking)
        return self.dropout(out(x.transpose(1, 2).flatten(2)))

    def forward(
        self, x: Tensor, memory: tuple[Tensor, Tensor], visible: Tensor, past: Past | None = None, index: int = 0
    ) -> Tensor:
        """Return the layer's output (N, L, C) for input `x` of that shape.

        N is a multiple of the memory's B: hypotheses of one utterance are neighbours and share its keys and values.

        Args:
            x: the whole texts without `past`, one further token of each with it.
            memory: keys and values of the encoder's states in this layer.
            visible: (B, 1, 1, S), False on padding.
            past: keys and values of the tokens before, which this call extends.
            index: number of this layer, with `past`.
        """
        q, k, v = self.heads(self.qkv(self.self_norm(x)), 3)
        if past is not None:
            k, v = past.extend(index, k, v)
        x = x + self.attend(q, k, v, self.self_out, is_causal=past is None)
        # (B, hypotheses * L, C): the positions of all hypotheses of an utterance, side by side
        shared = self.cross_norm(x).view(len(visible), -1, x.shape[-1])
        (q,) = self.heads(self.cross_query(shared), 1)
        x = x + self.attend(q, *memory, self.cross_out, attn_mask=visible).view(x.shape)
        return x + self.dropout(self.ffn(x))


class Decoder(nn.Module):
    """Predict each next token from the tokens before it and the encoder's states.

    One embedding serves input and output, as in fairseq's recipe.

    Args:
        d_model: width, the same as the encoder's.
        vocabulary_size: number of tokens.
        settings: sizes.
    """

    checkpointing = False  # of layers

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
        self.dropout = Dropout(settings.dropout)
        self.layers = nn.ModuleList(DecoderLayer(d_model, settings) for _ in range(settings.n_layers))
        self.norm = nn.LayerNorm(d_model)

    def compile_layers(self, backend: Any = "inductor") -> None:
        """Let torch compile the layers at their first use for whole texts: once for all, and for any size."""
        for layer in self.layers:
            layer.compile(dynamic=True, backend=backend)

    def remember(self, states: Tensor, visible: Tensor) -> Memory:
        """Return the memory of encoder states (B, S, C); `visible` (B, S) is False on padding."""
        keys_values = []
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            keys, values = layer.heads(layer.cross_kv(states), 2)
            keys_values.append((keys, values))
        return Memory(keys_values, visible[:, None, None])

    def forward(self, tokens: Tensor, memory: Memory, past: Past | None = None) -> Tensor:
        """Return the last states (N, L, C) of tokens (N, L); `logits` turns them into predictions.

        N is the memory's B, or B times the number of hypotheses, with those of one utterance next to each other.
        Padding lies to the right of a text, where causal attention does not look. With `past`, `tokens` (N, 1) are
        the tokens that follow those decoded before.
        """
        start = past.length if past is not None else 0
        positions = sinusoids(start + tokens.shape[1], self.d_model, tokens.device)[start:]
        x = self.dropout(self.embedding(tokens) * math.sqrt(self.d_model) + positions)
        for index, layer in enumerate(self.layers):
            keys_values = memory.keys_values[index]
            if past is None:
                x = run_block(layer, x, keys_values, memory.visible, checkpointing=self.checkpointing)
            else:
                x = layer.forward(x, keys_values, memory.visible, past, index)  # never compiled: each token is longer
        if past is not None:
            past.length += tokens.shape[1]
        return self.norm(x)

    def logits(self, states: Tensor) -> Tensor:
        """Return logits (..., vocabulary) of states (..., C)."""
        return linear(states, self.embedding.weight)
