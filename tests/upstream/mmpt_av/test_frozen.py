"""An encoder whose weights need no gradient stays as it is, also where `train()` is called (ESPnet's freeze_param)."""

import copy

import pytest
import torch

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

WAVS = [torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (16000, 5000)]


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig.preset("tiny")).eval()  # without dropout


def statistics(encoder: Encoder) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in encoder.named_buffers()}


def same(one: dict, other: dict) -> list[str]:
    """Names of the buffers that are equal."""
    return [name for name in one if torch.equal(one[name], other[name])]


def test_a_frozen_encoder_keeps_its_batch_statistics_and_its_states(encoder):
    before, expected = statistics(encoder), encoder(WAVS).hidden_states
    encoder.requires_grad_(False).train()
    for _ in range(3):
        found = encoder(WAVS).hidden_states
    assert same(before, statistics(encoder)) == list(before)
    assert all(map(torch.equal, found, expected))


def test_only_frozen_blocks_keep_them(encoder):
    before = statistics(encoder)
    encoder.blocks[0].requires_grad_(False)
    encoder.train()
    encoder(WAVS)
    kept = [name for name in same(before, statistics(encoder)) if "batch_norm" in name]
    assert kept == [name for name in before if name.startswith("blocks.0.convolution.batch_norm")] and len(kept) == 3


def test_a_trained_encoder_moves_them(encoder):
    before = statistics(encoder)
    copy.deepcopy(encoder).train()(WAVS)
    encoder.train()
    with torch.no_grad():  # its weights still need a gradient: passes that collect statistics work
        encoder(WAVS)
    assert not [name for name in same(before, statistics(encoder)) if "batch_norm" in name]
