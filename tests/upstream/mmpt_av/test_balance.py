"""The first state gets the size of the others, which stay the same."""

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


def test_the_first_state_gets_the_mean_size_of_the_others(encoder):
    scale_first_state(encoder, 1500.0)
    before = states(encoder)
    factor = balance(encoder, [[wav] for wav in WAVS])
    after = states(encoder)
    sizes = [state.norm().item() for state in after]
    assert factor < 1e-2 and sizes[0] == pytest.approx(sum(sizes[1:]) / len(sizes[1:]), rel=1e-3)
    assert max(map(change, after[1:], before[1:])) < 2e-4
    assert balance(encoder, [WAVS]) == pytest.approx(1.0, rel=1e-3)  # nothing is left to do


def test_without_waveforms_there_is_no_size(encoder):
    with pytest.raises(ValueError, match="no waveforms"):
        balance(encoder, [])
