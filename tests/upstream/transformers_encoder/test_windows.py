"""Whisper's window: the whole one by default, a shorter one as an option, several for a long waveform."""

import pytest
import torch

from mmpt.upstream.errors import InputError
from mmpt.upstream.transformers_encoder.expert import UpstreamExpert


def encode(expert, *wavs) -> list[torch.Tensor]:
    with torch.no_grad():
        return expert.eval()(list(wavs))["hidden_states"]


def record_windows(expert) -> list[tuple[int, ...]]:
    """Return a list that fills with the shapes (utterances, log-mel frames) of what the first convolution gets."""
    shapes = []
    expert.encoder.encoder.conv1.register_forward_pre_hook(
        lambda _, args: shapes.append((args[0].shape[0], args[0].shape[2]))
    )
    return shapes


def test_utterances_share_the_whole_window(folders, noise):
    expert = UpstreamExpert(str(folders["whisper"]))
    shapes = record_windows(expert)
    encode(expert, noise(16000), noise(321), noise(1))
    assert shapes == [(3, 100)]


def test_a_shorter_window_pads_to_so_many_seconds_at_least(folders, noise):
    expert = UpstreamExpert(str(folders["whisper"]), min_window_s=0.5)
    shapes = record_windows(expert)
    short, long = encode(expert, noise(3000), noise(12000), noise(8000))[-1][:2]
    assert shapes == [(2, 50), (1, 76)]
    whole = UpstreamExpert(str(folders["whisper"]))
    assert (encode(whole, noise(3000))[-1][0] - short[:10]).abs().max() > 1e-3
    padded_by_hand = torch.cat([noise(3000), torch.zeros(5000)])
    own = UpstreamExpert(str(folders["whisper"]), min_window_s=0)
    torch.testing.assert_close(encode(own, padded_by_hand)[-1][0, :10], short[:10])
    torch.testing.assert_close(encode(own, noise(12000))[-1][0], long)


@pytest.mark.parametrize("min_window_s", [None, 0.25])
def test_a_long_waveform_takes_several_windows(min_window_s, folders, noise):
    expert = UpstreamExpert(str(folders["whisper"]), min_window_s=min_window_s)
    wav = noise(2 * 16000 + 1000)
    for layer, *parts in zip(
        encode(expert, noise(500), wav),
        *(encode(expert, piece) for piece in wav.split(16000)),
    ):
        assert layer.shape[1] == 104
        torch.testing.assert_close(layer[1], torch.cat(parts, dim=1)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("min_window_s", [-1, 1.5, "3 s", True])
def test_a_window_that_cannot_be_is_an_error(min_window_s, folders):
    with pytest.raises(InputError, match=r"min_window_s must be a number from 0 to 1 \(seconds\)"):
        UpstreamExpert(str(folders["whisper"]), min_window_s=min_window_s)


def test_others_have_no_window(folders):
    with pytest.raises(InputError, match="min_window_s is an option of Whisper alone; this is hubert"):
        UpstreamExpert(str(folders["hubert"]), min_window_s=3)
