"""Self-attention inside each utterance of a packed batch: the ways to compute it, and which one serves."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .dropout import dropout
from .packing import Places

Way = Callable[[Tensor, Places, float], Tensor]


def attend(qkv: Tensor, places: Places, p: float) -> Tensor:
    """Return the attention (total, heads, C / heads) of packed queries, keys and values.

    Args:
        qkv: (total, 3, heads, C / heads).
        places: of the utterances.
        p: probability with which attention's weights are dropped.
    """
    return choose_way(qkv, places)(qkv, places, p)


def choose_way(qkv: Tensor, places: Places) -> Way:
    """Return the way that serves a batch.

    GPUs want few, large kernels. In half precision flash attention takes a whole ragged batch in one call and computes
    no padding. It knows no float32 and not every width of a head, and old GPUs do not have it: there the batch is
    padded for attention alone. A processor starts kernels at no cost and computes utterance by utterance, without mask,
    padding or extra memory.
    Compiled code must not depend on the number of utterances: it pads where it cannot use flash attention.
    """
    if suits_flash_attention(qkv) and has_flash_attention():
        return packed
    if torch.compiler.is_compiling():
        return padded
    if places.packing.dense:
        return equal
    return one_by_one if qkv.device.type == "cpu" else padded


def suits_flash_attention(qkv: Tensor) -> bool:
    """Return True if flash attention knows the device, precision and width of heads of (total, 3, heads, C / heads).

    On some GPUs its backward pass is for widths up to 192.
    """
    width = qkv.shape[-1]
    return (
        qkv.device.type == "cuda" and qkv.dtype in (torch.bfloat16, torch.float16) and width % 8 == 0 and width <= 192
    )


def has_flash_attention() -> bool:
    """Return True if PyTorch has flash attention for this machine's GPUs, from Ampere on."""
    if not torch.cuda.is_available():
        return True  # tensors that say "cuda" here are fake ones, for tests
    return torch.backends.cuda.is_flash_attention_available() and torch.cuda.get_device_capability() >= (8, 0)


def packed(qkv: Tensor, places: Places, p: float) -> Tensor:
    """Attend in one call of flash attention, which is told where utterances begin."""
    q, k, v = qkv.unbind(1)
    longest = places.visible.shape[1]
    return flash_attention(q, k, v, places.offsets, places.offsets, longest, longest, p)


def flash_attention(
    q: Tensor, k: Tensor, v: Tensor, offsets_q: Tensor, offsets_k: Tensor, longest_q: int, longest_k: int, p: float
) -> Tensor:
    """Return the attention (total, heads, d) of sequences that lie one after another.

    PyTorch's operator under `varlen_attn` and nested tensors. The former knows no dropout, the latter are slow to make.

    Args:
        q, k, v: (total, heads, d), in half precision.
        offsets_q, offsets_k: (B + 1,) int32 starts of the sequences, and the end of the last.
        longest_q, longest_k: length of the longest sequence.
        p: probability with which weights are dropped.
    """
    out: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, offsets_q, offsets_k, longest_q, longest_k, p, False, False
    )[0]
    return out


def padded(qkv: Tensor, places: Places, p: float) -> Tensor:
    """Attend in a padded batch, in which a mask hides the padding."""
    batch = places.pad(qkv.flatten(1)).view(*places.visible.shape, *qkv.shape[1:])
    q, k, v = batch.permute(2, 0, 3, 1, 4)  # each (B, heads, longest, C / heads)
    out = to_visible(q, k, v, places.visible, p)
    return places.pack(out.transpose(1, 2).flatten(2)).view(len(qkv), *qkv.shape[2:])


def to_visible(q: Tensor, k: Tensor, v: Tensor, visible: Tensor, p: float = 0.0) -> Tensor:
    """Return the attention (B, heads, T, d) of a padded batch.

    Args:
        q, k, v: (B, heads, T, d).
        visible: (B, T) bool, False on padding, which nothing attends to.
        p: probability with which weights are dropped.
    """
    if q.device.type == "cpu" and torch.compiler.is_compiling():
        # What torch 2.11 compiles of its own function fails in the backward pass if the next batch has another length.
        # With heads in a dimension of their own, it would compile anew for each length.
        hidden = ~visible.repeat_interleave(q.shape[1], 0)[:, None]
        scores = q.flatten(0, 1) * q.shape[-1] ** -0.5 @ k.flatten(0, 1).transpose(-2, -1)
        weights = dropout(scores.masked_fill(hidden, float("-inf")).softmax(-1), p)
        return (weights @ v.flatten(0, 1)).view(q.shape)
    mask = visible[:, None, None]
    # Flash attention takes no mask. With one, GPUs use the memory-efficient kernel, which keeps no (T, T) weights.
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p)


def equal(qkv: Tensor, places: Places, p: float) -> Tensor:
    """Attend in a batch of equally long utterances."""
    q, k, v = qkv.view(*places.visible.shape, *qkv.shape[1:]).permute(2, 0, 3, 1, 4)
    return within(q, k, v, p).transpose(1, 2).flatten(0, 1)


def one_by_one(qkv: Tensor, places: Places, p: float) -> Tensor:
    """Attend with one call an utterance: no mask, no padding, and memory that stays linear in its length."""
    utterances = []
    for one in places.packing.split(qkv):
        q, k, v = one.permute(1, 2, 0, 3).unsqueeze(1)  # each (1, heads, T, C / heads)
        utterances.append(within(q, k, v, p)[0].transpose(0, 1))
    return torch.cat(utterances)


def within(q: Tensor, k: Tensor, v: Tensor, p: float) -> Tensor:
    """Return the attention of (B, heads, T, C / heads), its weights dropped with probability `p`; the same shape."""
    if p == 0.0 or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)
    # PyTorch's own computes the same products if weights are dropped on a processor, with a slower dropout.
    return dropout((q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1), p) @ v
