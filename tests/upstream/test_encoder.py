"""The encoder against a slow reference, and what it promises: lengths, padding invariance, statistics, errors."""

import dataclasses
import math
import random

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.conformer import ConformerBlock

SECOND = 16000


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


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    return make()


def noise(samples: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(7919 * seed + samples)
    return 0.1 * torch.randn(samples, generator=generator) * (1.1 + torch.sin(torch.arange(samples) / 2000))


def features(frames: int, seed: int = 0) -> Tensor:
    return torch.randn(frames, 80, generator=torch.Generator().manual_seed(7919 * seed + frames))


# --- One utterance, slowly -------------------------------------------------------------------------------------------


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


def slow_convolution(x: Tensor, module: torch.nn.Module) -> Tensor:
    x = gated(layer_norm(x, module.norm) @ module.expand.weight.T, -1)
    kernel = module.depthwise.weight  # (C, 1, K)
    x = F.conv1d(x.T[None], kernel, padding=kernel.shape[-1] // 2, groups=len(kernel))[0].T
    norm = module.batch_norm
    x = (x - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps) * norm.weight + norm.bias
    return (x / (1 + torch.exp(-x))) @ module.project.weight.T


def slow_states(encoder: Encoder, feats: Tensor) -> list[Tensor]:
    """The hidden states of one utterance (frames, 80), in double precision, by the formulas alone."""
    encoder = make_double(encoder)
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
    x = x @ encoder.linear.weight.T + encoder.linear.bias
    states = [x]
    for block in encoder.blocks:
        x = x + 0.5 * slow_feed_forward(x, block.ffn1)
        x = x + slow_attention(x, block.attention)
        x = x + slow_convolution(x, block.convolution)
        x = x + 0.5 * slow_feed_forward(x, block.ffn2)
        x = layer_norm(x, block.norm)
        states.append(x)
    return states


def make_double(encoder: Encoder) -> Encoder:
    twin = Encoder(encoder.config).double().eval()
    twin.load_state_dict(encoder.state_dict())
    return twin


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 17, 130])
@torch.no_grad()
def test_slow_reference(tiny, frames):
    feats = features(frames)
    expected = slow_states(tiny, feats)
    # Alone, among equals and among others: three ways through the packed code.
    others = [features(9, seed=1), features(201, seed=2)]
    for batch, item in (([feats], 0), ([features(frames, seed=3), feats], 1), ([others[0], feats, others[1]], 1)):
        ours = tiny.encode_features(batch)
        assert len(ours.hidden_states) == len(expected) == 5
        for one, other in zip(ours.hidden_states, expected):
            assert (one[item, : len(other)] - other).abs().max() <= 1e-5


@torch.no_grad()
def test_slow_reference_base():
    base = make("base", n_layers=2)
    feats = features(50)
    for one, other in zip(base.encode_features([features(7), feats]).hidden_states, slow_states(base, feats)):
        assert (one[1, : len(other)] - other).abs().max() <= 1e-5


# --- Padding invariance ----------------------------------------------------------------------------------------------


def check_invariance(encoder: Encoder, lengths: list[int], orders: list[list[int]]) -> None:
    wavs = [noise(n, seed=i) for i, n in enumerate(lengths)]
    alone = [encoder([wav]) for wav in wavs]
    for order in orders:
        together = encoder([wavs[i] for i in order])
        assert together.lengths.tolist() == [math.ceil(lengths[i] / 640) for i in order]
        for layer, states in enumerate(together.hidden_states):
            assert states.shape[:2] == (len(order), max(together.lengths))
            for row, i in zip(states, order):
                own = alone[i].hidden_states[layer][0]
                difference = (row[: len(own)] - own).abs().max()
                assert difference <= 1e-5, f"layer {layer}, {lengths[i]} samples among {[lengths[j] for j in order]}: {difference}"
                assert torch.equal(row[len(own) :], torch.zeros_like(row[len(own) :]))


@pytest.mark.parametrize("seed", range(5))
@torch.no_grad()
def test_padding_invariance(tiny, seed):
    """Random batches, lengths from one sample to 40 s (short ones as likely as long ones), each in three orders."""
    draw = random.Random(seed)
    lengths = [int(math.exp(draw.uniform(0, math.log(40 * SECOND)))) for _ in range(draw.randint(2, 6))]
    lengths += [[1, 639], [40 * SECOND], [399, 400], [641, 641], [1039, 1040]][seed]
    check_invariance(tiny, lengths, [draw.sample(range(len(lengths)), len(lengths)) for _ in range(3)])


@torch.no_grad()
def test_padding_invariance_of_equal_lengths(tiny):
    """Equal lengths take the way without packing."""
    check_invariance(tiny, [9000] * 3 + [8961, 9600], [[0, 1, 2], [2, 0], [0, 3, 4], [4, 1, 3, 2]])


@torch.no_grad()
def test_padding_invariance_base():
    check_invariance(make("base"), [1, 30000, 64000, 641], [[0, 1, 2, 3], [2, 0, 3]])


@torch.no_grad()
def test_padding_invariance_with_global_normalisation():
    mean, std = tuple(10 + i / 20 for i in range(80)), tuple(2 + i / 80 for i in range(80))
    check_invariance(make(normalisation="global", feature_mean=mean, feature_std=std), [1, 400, 20000, 5000], [[3, 0, 2, 1], [1, 2]])


@torch.no_grad()
def test_padding_invariance_from_features(tiny):
    feats = [features(n) for n in range(1, 21)]
    alone = [tiny.encode_features([one]).hidden_states for one in feats]
    order = random.Random(3).sample(range(20), 20)
    together = tiny.encode_features([feats[i] for i in order])
    for layer, states in enumerate(together.hidden_states):
        for row, i in zip(states, order):
            own = alone[i][layer][0]
            assert (row[: len(own)] - own).abs().max() <= 1e-5
            assert torch.equal(row[len(own) :], torch.zeros_like(row[len(own) :]))


@torch.no_grad()
def test_a_nan_stays_in_its_utterance(tiny):
    broken = torch.full((7000,), float("nan"))
    clean = [noise(5000), noise(9000)]
    together = tiny([clean[0], broken, clean[1]]).hidden_states[-1]
    for row, wav in ((0, clean[0]), (2, clean[1])):
        own = tiny([wav]).hidden_states[-1][0]
        assert (together[row, : len(own)] - own).abs().max() <= 1e-5


# --- Lengths and shapes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 399, 400, 560, 640, 641, 1039, 1040, 16000, 640000])
@torch.no_grad()
def test_length_is_the_ceiling(tiny, samples):
    out = tiny([noise(samples)])
    assert out.lengths.tolist() == [math.ceil(samples / 640)]
    assert [states.shape for states in out.hidden_states] == [(1, math.ceil(samples / 640), 96)] * 5
    assert all(states.isfinite().all() for states in out.hidden_states)


@torch.no_grad()
def test_the_last_samples_count(tiny):
    """Nothing is truncated: a change in the last 40 ms of 40 s changes the states."""
    wav = noise(40 * SECOND)
    changed = wav.clone()
    changed[-640:] = 0
    last = tiny([wav]).hidden_states[-1][0, -1], tiny([changed]).hidden_states[-1][0, -1]
    assert (last[0] - last[1]).abs().max() > 1e-2


@torch.no_grad()
def test_four_frames_a_state(tiny):
    feats = [features(n) for n in range(1, 21)]
    expected = [-(-n // 4) for n in range(1, 21)]
    assert [tiny.encode_features([one]).hidden_states[-1].shape[1] for one in feats] == expected
    assert tiny.encode_features(feats).lengths.tolist() == expected


@torch.no_grad()
def test_encode_packed_is_the_last_state(tiny):
    feats = [features(30), features(5), features(61)]
    x, packing = tiny.embed(feats)
    out = tiny.encode_features(feats)
    assert torch.equal(packing.unpack(x), out.hidden_states[0])
    assert torch.equal(packing.unpack(tiny.encode_packed(x, packing)), out.hidden_states[-1])


@torch.no_grad()
def test_waveforms_are_features_encoded(tiny):
    wavs = [noise(5000), noise(777)]
    feats, frames = tiny.filterbank(wavs)
    direct = tiny.encode_features([one[:n] for one, n in zip(feats, frames)])
    assert torch.equal(direct.hidden_states[-1], tiny(wavs).hidden_states[-1])


@torch.no_grad()
def test_autocast_stays_near_float32(tiny):
    wavs = [noise(16000), noise(3000)]
    exact = tiny(wavs).hidden_states[-1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = tiny(wavs).hidden_states[-1]
    assert half.isfinite().all() and (half - exact).abs().mean() < 0.05


def test_base_has_the_papers_size():
    base = Encoder(EncoderConfig.preset("base"))
    assert sum(parameter.numel() for parameter in base.parameters()) == 42_948_352
    assert (len(base.blocks), base.config.d_model, base.hop) == (16, 256, 640)


# --- Training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [[1], [2, 1, 90], [40, 40], [1, 1], [4], [33, 1]])
def test_gradients_are_finite_and_reach_every_parameter(frames):
    encoder = make(seed=1).train()
    torch.manual_seed(2)
    states = encoder.encode_features([features(n) for n in frames]).hidden_states
    probe = torch.randn(states[-1].shape[-1])
    sum((layer @ probe).square().sum() for layer in states).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if sum(frames) > 40:
            assert parameter.grad.abs().max() > 0, name


def test_gradients_do_not_depend_on_batch_mates():
    """In evaluation mode an utterance's loss has one gradient, alone or between others."""
    grads = []
    for batch, item in (([features(50)], 0), ([features(7), features(50), features(90)], 1)):
        encoder = make(seed=1)
        states = encoder.encode_features(batch).hidden_states[-1][item, :13]
        (states * torch.linspace(-1, 1, states.numel()).view_as(states)).sum().backward()
        grads.append({name: parameter.grad for name, parameter in encoder.named_parameters()})
    for name in grads[0]:
        assert torch.allclose(grads[0][name], grads[1][name], rtol=1e-3, atol=1e-3 * grads[0][name].abs().max().item() + 1e-6), name


def before_batch_norm(block: ConformerBlock, x: Tensor) -> Tensor:
    """What the block's batch norm gets of one utterance (states, C), without dropout."""
    module = block.convolution
    x = x + 0.5 * slow_feed_forward(x, block.ffn1)
    x = x + slow_attention(x, block.attention)
    x = gated(layer_norm(x, module.norm) @ module.expand.weight.T, -1)
    return F.conv1d(x.T[None], module.depthwise.weight, padding=module.depthwise.weight.shape[-1] // 2, groups=x.shape[1])[0].T


@pytest.mark.parametrize("frames", [[160, 9, 1, 47], [60, 60]])
@torch.no_grad()
def test_batch_statistics_see_valid_frames_only(frames):
    encoder = make(n_layers=1, dropout=0.0)
    feats = [features(n) for n in frames]
    block = encoder.blocks[0]
    valid = torch.cat([before_batch_norm(block, slow_input(encoder, one)) for one in feats])
    assert len(valid) == sum(-(-n // 4) for n in frames)
    norm = block.convolution.batch_norm
    expected_mean = 0.9 * norm.running_mean + 0.1 * valid.mean(0)
    expected_var = 0.9 * norm.running_var + 0.1 * valid.var(0, unbiased=True)
    encoder.train().encode_features(feats)
    assert norm.num_batches_tracked == 1
    assert torch.allclose(norm.running_mean, expected_mean, atol=1e-5)
    assert torch.allclose(norm.running_var, expected_var, atol=1e-5)


def slow_input(encoder: Encoder, feats: Tensor) -> Tensor:
    return encoder.encode_features([feats]).hidden_states[0][0]  # checked against the slow reference above


@torch.no_grad()
def test_a_lone_state_leaves_the_statistics_alone():
    encoder = make(n_layers=1, dropout=0.0)
    expected = encoder([noise(300)]).hidden_states[-1]
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    assert torch.allclose(encoder.train()([noise(300)]).hidden_states[-1], expected, atol=1e-6)
    assert all(torch.equal(before[name], buffer) for name, buffer in encoder.named_buffers())


# --- Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wavs, text",
    [
        ([], "no waveform given"),
        ([torch.zeros(0)], r"non-empty 1-D tensor \(samples,\), got shape \(0,\)"),
        ([noise(500), torch.zeros(2, 500)], r"non-empty 1-D tensor \(samples,\), got shape \(2, 500\)"),
        ([torch.tensor(0.5)], r"got shape \(\)"),
    ],
)
def test_wrong_waveforms(tiny, wavs, text):
    with pytest.raises(ValueError, match=text):
        tiny(wavs)


@pytest.mark.parametrize(
    "feats, text",
    [
        ([], "no features given"),
        ([torch.zeros(0, 80)], r"\(frames, 80\), got shape \(0, 80\)"),
        ([features(5), torch.zeros(5, 40)], r"\(frames, 80\), got shape \(5, 40\)"),
        ([torch.zeros(80)], r"got shape \(80,\)"),
    ],
)
def test_wrong_features(tiny, feats, text):
    with pytest.raises(ValueError, match=text):
        tiny.encode_features(feats)
