"""`.half()` and `.to(torch.bfloat16)`: the filterbank stays in float32, all else is rounded and stays near float32."""

import copy

import pytest
import torch

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.mmpt_av.expert import UpstreamExpert

WAVS = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (16000, 1, 641, 9000)]
# Share of the largest state that rounding may move a state by: 10 bits and 7 bits, and a few roundings in a row.
PRECISIONS = [(torch.float16, 0.004), (torch.bfloat16, 0.03)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig.preset("tiny")).eval()


@torch.no_grad()
@pytest.mark.parametrize("dtype, share", PRECISIONS)
@pytest.mark.parametrize("hop", [640, 320])
def test_states_are_those_of_float32_but_for_rounding(encoder, dtype, share, hop):
    exact, half = copy.deepcopy(encoder), copy.deepcopy(encoder).to(dtype)
    exact.hop = half.hop = hop
    expected = exact(WAVS)
    found = half([wav.to(torch.float32) for wav in WAVS])
    assert found.lengths.tolist() == expected.lengths.tolist()
    for one, other in zip(found.hidden_states, expected.hidden_states, strict=True):
        assert one.dtype is dtype
        assert 0 < (one.float() - other).abs().max() <= share * other.abs().max()


@torch.no_grad()
def test_the_filterbank_stays_in_float32(encoder):
    half = copy.deepcopy(encoder).half()
    assert {buffer.dtype for buffer in half.filterbank.buffers()} == {torch.float32}
    assert {weight.dtype for weight in half.parameters()} == {torch.float16}
    assert all(map(torch.equal, half.filterbank(WAVS)[:1], encoder.filterbank(WAVS)[:1]))
    again = half.float()
    assert all(map(torch.equal, again.filterbank.buffers(), encoder.filterbank.buffers()))
    assert {buffer.dtype for buffer in copy.deepcopy(encoder).double().filterbank.buffers()} == {torch.float64}


@torch.no_grad()
def test_an_utterance_is_the_same_alone_and_in_a_batch_but_for_rounding(encoder):
    half = copy.deepcopy(encoder).half()
    together = half(WAVS).hidden_states[-1]
    for row, wav in enumerate(WAVS):
        alone = half([wav]).hidden_states[-1][0]
        assert (together[row, : len(alone)] - alone).abs().max() <= 0.004 * together.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("dtype, share", PRECISIONS)
def test_the_expert_takes_waveforms_of_either_precision_with_and_without_a_cache(encoder, tmp_path, dtype, share):
    save_encoder(encoder, tmp_path / "encoder.pt", {"stages": []})
    expected = encoder(WAVS).hidden_states[-1]
    for folder in (None, tmp_path / "states", tmp_path / "states"):
        expert = UpstreamExpert(tmp_path / "encoder.pt", cache_dir=folder, cache_dtype="float32").to(dtype)
        found = expert(WAVS)["last_hidden_state"]
        assert found.dtype is dtype and (found.float() - expected).abs().max() <= share * expected.abs().max()
        assert expert([wav.to(dtype) for wav in WAVS])["last_hidden_state"].shape == expected.shape
