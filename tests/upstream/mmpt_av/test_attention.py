"""Attention inside utterances: each way against the one that takes utterances one by one."""

import math

import pytest
import torch
from torch.nn import functional as F

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, attention
from mmpt.upstream.mmpt_av.packing import Packing

LENGTHS = [[1], [7], [4, 4, 4], [1, 9, 3, 6], [5, 2, 2, 1, 8]]
SIZES = {"conv_channels": 8, "d_model": 8, "n_layers": 2, "n_heads": 2, "ffn_dim": 16, "depthwise_kernel": 3}


def slow_flash(q, k, v, offsets_q, offsets_k, longest_q, longest_k, p):
    """What the kernel of the same signature computes, one row at a time, from the offsets alone."""
    assert torch.equal(offsets_q, offsets_k) and offsets_q.dtype == torch.int32 and p == 0.0
    assert longest_q == longest_k == offsets_q.diff().max()
    out = []
    for start, end in zip(offsets_q.tolist(), offsets_q.tolist()[1:]):
        for row in range(start, end):
            scores = torch.einsum("hc,thc->ht", q[row], k[start:end]) / math.sqrt(q.shape[-1])
            out.append(torch.einsum("ht,thc->hc", scores.softmax(-1), v[start:end]))
    return torch.stack(out)


def attended(way, lengths):
    """The output of a way of attention for random numbers, and the gradient of the input."""
    generator = torch.Generator().manual_seed(sum(lengths))
    qkv = torch.randn(sum(lengths), 3, 2, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(sum(lengths), 2, 4, generator=generator, dtype=torch.float64)
    out = way(qkv, Packing(lengths).places(), 0.0)
    (out * weight).sum().backward()
    return out.detach(), qkv.grad


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("name", ["padded", "packed", "equal"])
def test_every_way_agrees_with_utterances_one_by_one(name, lengths, monkeypatch):
    if name == "equal" and len(set(lengths)) > 1:
        return
    monkeypatch.setattr(attention, "flash_attention", slow_flash)
    for ours, theirs in zip(attended(getattr(attention, name), lengths), attended(attention.one_by_one, lengths)):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ["padded", "packed"])
def test_an_encoder_is_the_same_by_every_way(name, monkeypatch):
    """States, gradients and batch statistics of a training step."""
    generator = torch.Generator().manual_seed(0)
    feats = [torch.randn(n, 80, generator=generator, dtype=torch.float64) for n in (40, 13, 3, 29)]
    found = []
    for way in (attention.one_by_one, getattr(attention, name)):
        monkeypatch.setattr(attention, "flash_attention", slow_flash)
        monkeypatch.setattr(attention, "choose_way", lambda qkv, places, way=way: way)
        torch.manual_seed(1)
        encoder = Encoder(EncoderConfig(**SIZES, dropout=0.0)).double().train()
        states = encoder.encode_packed(*encoder.embed(*encoder.pack(feats)))
        states.square().sum().backward()
        found.append([states, *(p.grad for p in encoder.parameters()), *encoder.buffers()])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


def test_dropout_of_the_padded_way_drops_weights():
    """With values that are the identity, the output shows which weights were kept."""
    lengths, p = [64, 40], 0.25
    torch.manual_seed(0)
    qkv = torch.randn(sum(lengths), 3, 1, 64)
    qkv[:, 2] = torch.cat([torch.eye(64)[:n] for n in lengths])[:, None]
    weights = attention.padded(qkv, Packing(lengths).places(), p)[:, 0]
    real = torch.cat([weights[:64].flatten(), weights[64:, :40].flatten()])
    assert (real == 0).double().mean().item() == pytest.approx(p, abs=0.02)
    whole = attention.padded(qkv, Packing(lengths).places(), 0.0)[:, 0]
    kept = weights != 0
    torch.testing.assert_close(weights[kept], whole[kept] / (1 - p))


def test_the_way_is_chosen_by_device_and_precision(monkeypatch):
    monkeypatch.setattr(attention, "has_flash_attention", lambda: True)
    ragged, equal = Packing([3, 5]).places(), Packing([4, 4]).places()

    def way(device, dtype, places, width=8):
        return attention.choose_way(torch.empty(8, 3, 2, width, device=device, dtype=dtype), places)

    assert way("cpu", torch.float32, ragged) is way("cpu", torch.bfloat16, ragged) is attention.one_by_one
    assert way("cpu", torch.float32, equal) is attention.equal
    with torch._subclasses.FakeTensorMode():
        assert way("cuda", torch.bfloat16, ragged) is way("cuda", torch.float16, equal) is attention.packed
        assert way("cuda", torch.float32, ragged) is attention.padded
        assert way("cuda", torch.float32, equal) is attention.equal
        assert way("cuda", torch.bfloat16, ragged, width=20) is attention.padded  # of no use to flash attention
        assert way("cuda", torch.bfloat16, equal, width=256) is attention.equal
        monkeypatch.setattr(attention, "has_flash_attention", lambda: False)
        assert way("cuda", torch.bfloat16, ragged) is attention.padded


def test_padding_never_counts():
    """A batch's longest utterance changes the padding of all others, and none of their states."""
    torch.manual_seed(0)
    qkv = torch.randn(9, 3, 2, 4, dtype=torch.float64)
    alone = attention.padded(qkv[:3], Packing([3]).places(), 0.0)
    together = attention.padded(qkv, Packing([3, 6]).places(), 0.0)
    torch.testing.assert_close(together[:3], alone, atol=1e-12, rtol=0)
    assert F.cosine_similarity(together[3:].flatten(), qkv[3:, 2].flatten(), dim=0).isfinite()
