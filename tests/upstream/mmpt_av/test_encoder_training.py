"""The encoder in training: gradients, compared with a slow reference, and the input of its batch norms."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmpt.upstream.mmpt_av import Encoder
from mmpt.upstream.mmpt_av.conformer import ConformerBlock

from helpers.slow_encoder import (
    features,
    gated,
    in_double,
    layer_norm,
    make,
    noise,
    slow_attention,
    slow_feed_forward,
    slow_states,
)


def loss(layers: list[Tensor]) -> Tensor:
    """Return a number to which every state of (total, C) layers contributes in its own way."""
    return sum(
        (layer * torch.linspace(-1, 1, layer.numel(), dtype=torch.float64).view_as(layer).sin()).sum()
        for layer in layers
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("frames", [[300, 9, 1, 47], [130, 130]])
def test_states_and_gradients_of_the_slow_reference(frames, training):
    """Ragged and equal lengths, by running and by batch statistics."""
    encoder = make(dropout=0.0).train(training)
    twin = in_double(encoder)
    feats = [features(n) for n in frames]
    expected = [torch.cat(layer) for layer in slow_states(twin, feats, training)]
    out = encoder.encode_features(feats)
    ours = [torch.cat([row[:n] for row, n in zip(layer, out.lengths)]) for layer in out.hidden_states]
    for one, other in zip(ours, expected):
        assert (one - other).abs().max() <= 1e-5
    loss(expected).backward()
    loss(ours).backward()
    largest = max(parameter.grad.abs().max() for parameter in twin.parameters())
    for (name, ours), theirs in zip(encoder.named_parameters(), twin.parameters()):
        assert (ours.grad - theirs.grad).norm() <= 1e-4 * theirs.grad.norm() + 1e-7 * largest, name


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
    """In evaluation mode an utterance's loss has the same gradient alone and among others."""
    grads = []
    for batch, item in (([features(50)], 0), ([features(7), features(50), features(90)], 1)):
        encoder = make(seed=1)
        states = encoder.encode_features(batch).hidden_states[-1][item, :13]
        (states * torch.linspace(-1, 1, states.numel()).view_as(states)).sum().backward()
        grads.append({name: parameter.grad for name, parameter in encoder.named_parameters()})
    for name in grads[0]:
        assert torch.allclose(
            grads[0][name], grads[1][name], rtol=1e-3, atol=1e-3 * grads[0][name].abs().max().item() + 1e-6
        ), name


def before_batch_norm(block: ConformerBlock, x: Tensor) -> Tensor:
    """Return the input of the block's batch norm for one utterance, (states, C), without dropout."""
    module = block.convolution
    x = x + 0.5 * slow_feed_forward(x, block.ffn1)
    x = x + slow_attention(x, block.attention)
    x = gated(layer_norm(x, module.norm) @ module.expand.weight.T, -1)
    return F.conv1d(
        x.T[None], module.depthwise.weight, padding=module.depthwise.weight.shape[-1] // 2, groups=x.shape[1]
    )[0].T


@pytest.mark.parametrize("frames", [[160, 9, 1, 47], [60, 60]])
@torch.no_grad()
def test_batch_statistics_see_valid_frames_only(frames):
    encoder = make(n_layers=1, dropout=0.0)
    feats = [features(n) for n in frames]
    block = encoder.blocks[0]
    valid = torch.cat([before_batch_norm(block, first_input(encoder, one)) for one in feats])
    assert len(valid) == sum(-(-n // 4) for n in frames)
    norm = block.convolution.batch_norm
    expected_mean = 0.9 * norm.running_mean + 0.1 * valid.mean(0)
    expected_var = 0.9 * norm.running_var + 0.1 * valid.var(0, unbiased=True)
    encoder.train().encode_features(feats)
    assert norm.num_batches_tracked == 1
    assert torch.allclose(norm.running_mean, expected_mean, atol=1e-5)
    assert torch.allclose(norm.running_var, expected_var, atol=1e-5)


def first_input(encoder: Encoder, feats: Tensor) -> Tensor:
    return encoder.encode_features([feats]).hidden_states[0][0]  # checked against the slow reference above


@torch.no_grad()
def test_a_lone_state_leaves_the_statistics_alone():
    encoder = make(n_layers=1, dropout=0.0)
    expected = encoder([noise(300)]).hidden_states[-1]
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    assert torch.allclose(encoder.train()([noise(300)]).hidden_states[-1], expected, atol=1e-6)
    assert all(torch.equal(before[name], buffer) for name, buffer in encoder.named_buffers())
