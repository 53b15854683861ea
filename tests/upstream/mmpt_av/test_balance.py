"""The first state gets the size of the others, which stay the same."""

import math

import pytest
import torch

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.balance import balance, scale_first_state


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig.preset("tiny")).eval()
    for parameter in encoder.parameters():  # no bias is zero, and no weight of a norm one
        parameter.data += 0.02 * torch.randn_like(parameter)
    return encoder


WAVS = [0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples)) for samples in (16000, 4000)]


def states(encoder: Encoder) -> list[torch.Tensor]:
    with torch.no_grad():
        return list(encoder(WAVS).hidden_states)


def change(now: torch.Tensor, then: torch.Tensor) -> float:
    return ((now - then).norm() / then.norm()).item()


@pytest.mark.parametrize("factor", [1000.0, 0.25])
def test_only_the_first_state_changes(encoder, factor):
    first, *others = states(encoder)
    scale_first_state(encoder, factor)
    scaled, *same = states(encoder)
    assert change(scaled, factor * first) < 1e-5
    assert max(map(change, same, others)) < 2e-4  # the norms' epsilon


@pytest.mark.parametrize("grown", [1.0, 3.0, 1500.0])
def test_the_first_state_gets_about_the_size_of_the_others(encoder, grown):
    scale_first_state(encoder, grown)
    before = states(encoder)
    factor = balance(encoder)
    after = states(encoder)
    sizes = [state.norm().item() for state in after]
    assert 0.5 < sizes[0] * len(sizes[1:]) / sum(sizes[1:]) < 2
    assert math.log2(factor).is_integer() and max(map(change, after[1:], before[1:])) < 2e-4
    weights = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    assert balance(encoder) == 1.0  # nothing is left to do
    assert all(torch.equal(weight, weights[name]) for name, weight in encoder.state_dict().items())


def test_training_goes_on_as_before(encoder):
    encoder.train()
    balance(encoder)
    assert encoder.training


def test_an_encoder_whose_states_are_zero_or_not_finite_is_left_alone(encoder):
    for value in (0.0, math.nan):
        for parameter in encoder.linear.parameters():
            parameter.data.fill_(value)
        assert balance(encoder) == 1.0
