"""The number of states under both rules of S3PRL: `round` in the runner's Featurizer, `ceil` in S3PRLUpstream."""

import pytest
import torch

from mmpt.upstream.s3prl_runner import registration, repairs

from helpers.transformers_folders import MODELS

LENGTHS = [*range(1, 3000, 187), 319, 320, 321, 400, 480, 560, 719, 720, 800, 16000, 16160, 16161, 20000]
MASKED = ["wav2vec2_large", "hubert_large", "wavlm_large", "wav2vec2_bert"]


@pytest.fixture(scope="module")
def s3prl_nn():
    repairs.apply()
    registration.register()
    import s3prl.nn

    return s3prl.nn


@pytest.fixture(scope="module")
def runner_interfaces():
    repairs.apply()
    import s3prl.upstream.interfaces

    return s3prl.upstream.interfaces


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_each_utterance_has_ceil_states_and_zeros_behind(name, experts, noise):
    states = torch.stack(experts[name]([noise(samples) for samples in LENGTHS])["hidden_states"])
    assert states.shape[2] == -(-max(LENGTHS) // 320)
    assert states.isfinite().all()
    for row, samples in enumerate(LENGTHS):
        count = -(-samples // 320)
        assert states[:, row, :count].abs().sum(dim=-1).all()
        assert not states[:, row, count:].any()


@torch.no_grad()
@pytest.mark.parametrize("name", ["wav2vec2", *MASKED, "sew_d", "whisper"])
def test_the_last_state_fills_up_what_a_convolution_lacks(name, experts, noise):
    states = experts[name]([noise(16000)])["last_hidden_state"][0]
    valid = len(experts[name].encoder([noise(16000)])[0][-1])
    assert valid == {"whisper": 50, "sew_d": 48}.get(name, 49)
    assert torch.equal(states[valid:], states[valid - 1 : valid].expand(50 - valid, -1))


@torch.no_grad()
def test_the_runner_s_featurizer_finds_all_frames(experts, noise, runner_interfaces):
    expert = experts["wav2vec2"]
    featurizer = runner_interfaces.Featurizer(expert, "hidden_states", "cpu")
    wavs = [noise(samples) for samples in LENGTHS]
    assert [len(states) for states in featurizer(wavs, expert(wavs))] == [round(n / 320) for n in LENGTHS]


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_s3prl_upstream_takes_states_as_they_are(name, folders, experts, noise, s3prl_nn):
    upstream = s3prl_nn.S3PRLUpstream("hf", path_or_url=str(folders[name])).eval()
    assert upstream.num_layers == 4 + name.startswith("sew_d")
    assert upstream.downsample_rates == [320] * upstream.num_layers
    wavs = [noise(samples) for samples in (1000, 16160, 8001)]
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    states, lengths = upstream(padded, torch.tensor([len(wav) for wav in wavs]))
    assert lengths[0].tolist() == [4, 51, 26]
    for layer, ours in zip(states, experts[name](wavs)["hidden_states"]):
        assert torch.equal(layer, ours)
