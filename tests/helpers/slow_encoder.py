"""The encoder's formulas, slow and obvious, in double precision; encoders, waveforms and features to try them on."""

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig


def make(preset: str = "tiny", seed: int = 0, **changes) -> Encoder:
    """An encoder in evaluation mode whose batch norms have seen something, as a trained one's have."""
    torch.manual_seed(seed)
    encoder = Encoder(dataclasses.replace(EncoderConfig.preset(preset), **changes)).eval()
    for block in encoder.blocks:
        norm = block.convolution.batch_norm
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.3, 2.0)
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, 0, 0.2)
    return encoder


def noise(samples: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(7919 * seed + samples)
    return 0.1 * torch.randn(samples, generator=generator) * (1.1 + torch.sin(torch.arange(samples) / 2000))


def features(frames: int, seed: int = 0) -> Tensor:
    return torch.randn(frames, 80, generator=torch.Generator().manual_seed(7919 * seed + frames))


def gated(x: Tensor, dim: int) -> Tensor:
    value, gate = x.chunk(2, dim)
    return value / (1 + torch.exp(-gate))


def layer_norm(x: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias


def slow_feed_forward(x: Tensor, module: torch.nn.Sequential) -> Tensor:
    norm, wide, _, _, narrow, _ = module
    hidden = layer_norm(x, norm) @ wide.weight.T + wide.bias
    return (hidden / (1 + torch.exp(-hidden))) @ narrow.weight.T + narrow.bias


def slow_attention(x: Tensor, module: torch.nn.Module) -> Tensor:
    qkv = layer_norm(x, module.norm) @ module.qkv.weight.T + module.qkv.bias
    q, k, v = (part.reshape(len(x), module.n_heads, -1) for part in qkv.chunk(3, -1))
    weights = torch.softmax(torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1]), -1)
    return torch.einsum("hqk,khd->qhd", weights, v).reshape(len(x), -1) @ module.out.weight.T + module.out.bias


def slow_convolutions(xs: list[Tensor], module: torch.nn.Module, training: bool) -> list[Tensor]:
    """Of all utterances at once: in training they share the batch's mean and variance."""
    kernel = module.depthwise.weight  # (C, 1, K)
    wide = [gated(layer_norm(x, module.norm) @ module.expand.weight.T, -1) for x in xs]
    wide = [F.conv1d(x.T[None], kernel, padding=kernel.shape[-1] // 2, groups=len(kernel))[0].T for x in wide]
    norm = module.batch_norm
    mean, variance = norm.running_mean, norm.running_var
    if training:
        everything = torch.cat(wide)
        mean, variance = everything.mean(0), everything.var(0, unbiased=False)
    wide = [(x - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias for x in wide]
    return [(x / (1 + torch.exp(-x))) @ module.project.weight.T for x in wide]


def slow_input(encoder: Encoder, feats: Tensor) -> Tensor:
    """The input of the first block for one utterance (frames, 80)."""
    x = feats.double().T[None]
    for conv in (encoder.subsampler.conv1, encoder.subsampler.conv2):
        x = gated(F.conv1d(x, conv.weight, conv.bias, stride=2, padding=2), 1)
    x = x[0].T
    width = x.shape[1]
    x = x * math.sqrt(width)
    half = width // 2
    for t in range(len(x)):
        for i in range(half):
            angle = (t + 2) * math.exp(-i * math.log(10000) / (half - 1))
            x[t, i] += math.sin(angle)
            x[t, half + i] += math.cos(angle)
    return x @ encoder.linear.weight.T + encoder.linear.bias


def slow_states(encoder: Encoder, batch: list[Tensor], training: bool = False) -> list[list[Tensor]]:
    """Each layer's hidden states (T, C) of each utterance (frames, 80), by the formulas alone and without dropout.

    Args:
        encoder: in double precision, see `in_double`.
    """
    xs = [slow_input(encoder, feats) for feats in batch]
    states = [xs]
    for block in encoder.blocks:
        xs = [x + 0.5 * slow_feed_forward(x, block.ffn1) for x in xs]
        xs = [x + slow_attention(x, block.attention) for x in xs]
        xs = [x + more for x, more in zip(xs, slow_convolutions(xs, block.convolution, training))]
        xs = [layer_norm(x + 0.5 * slow_feed_forward(x, block.ffn2), block.norm) for x in xs]
        states.append(xs)
    return states


def in_double(encoder: Encoder) -> Encoder:
    """A twin in double precision."""
    twin = Encoder(encoder.config).double().eval()
    twin.load_state_dict(encoder.state_dict())
    return twin
