"""The front end, compared with Kaldi's filterbank and with a slow, obvious normalisation."""

import math

import pytest
import torch
import torchaudio

from mmpt.upstream.mmpt_av import filterbank as module
from mmpt.upstream.mmpt_av.filterbank import Filterbank, layout_of
from mmpt.upstream.mmpt_av.layout import speech_frames

KALDI_LENGTHS = [400, 401, 559, 560, 561, 640, 641, 1039, 1040, 1041, 7777, 16000, 48001]


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    """Return noise whose loudness and colour change along the utterance."""
    generator = torch.Generator().manual_seed(1000 * seed + samples)
    white = torch.randn(samples, generator=generator)
    swell = torch.linspace(0.02, 0.3, samples) * (1.2 + torch.sin(torch.arange(samples) / 900))
    return (white + white.roll(1)).mul(swell).clamp(-1, 1)


def kaldi(wav: torch.Tensor) -> torch.Tensor:
    return torchaudio.compliance.kaldi.fbank(
        wav[None] * 32768, num_mel_bins=80, dither=0.0, sample_frequency=16000, snip_edges=True
    )


def slowly_normalised(energies: torch.Tensor, speech: int, total: int) -> list[list[float]]:
    """Normalise one bin and one frame at a time, in Python's double precision."""
    out = [[0.0] * energies.shape[1] for _ in range(total)]
    for bin_ in range(energies.shape[1]):
        column = [float(energies[frame, bin_]) for frame in range(speech)]
        mean = sum(column) / speech
        variance = sum((value - mean) ** 2 for value in column) / speech
        for frame in range(speech):
            out[frame][bin_] = (column[frame] - mean) / math.sqrt(max(variance, 1e-10))
    return out


@pytest.fixture(scope="module")
def bank() -> Filterbank:
    return Filterbank(80)


def scaled(wav: torch.Tensor) -> torch.Tensor:
    return wav[None] * 32768


@pytest.mark.parametrize("samples", KALDI_LENGTHS)
def test_energies_are_kaldis(bank, samples):
    wav = noise(samples)
    ours, theirs = bank.energies(scaled(wav))[0], kaldi(wav)
    assert ours.shape == theirs.shape == (speech_frames(samples), 80)
    assert (ours - theirs).abs().max() < 1e-3


def test_energies_of_faint_and_clipped_audio_are_kaldis(bank):
    for wav in (noise(8000) * 1e-4, (noise(8000) * 20).clamp(-1, 1)):
        assert (bank.energies(scaled(wav))[0] - kaldi(wav)).abs().max() < 1e-3


@pytest.mark.parametrize("samples", KALDI_LENGTHS)
def test_features_are_kaldis_normalised(bank, samples):
    """The whole way from waveform to features: framing, scale, speech frames and padding together."""
    wav = noise(samples)
    feats, frames = bank([wav])
    total = 4 * math.ceil(samples / 640)
    assert frames == [total] and feats.shape == (1, total, 80) and feats.dtype == torch.float32
    expected = torch.tensor(slowly_normalised(kaldi(wav), speech_frames(samples), total))
    # A single frame is its own mean; two frames are plus and minus one, whatever the energies.
    assert (feats[0] - expected).abs().max() < 2e-3


@pytest.mark.parametrize("samples", [1, 2, 399, 400, 559, 560, 719, 720, 16000, 16160, 16001])
def test_speech_frames_are_the_whole_windows(samples):
    whole = sum(1 for start in range(0, samples, 160) if start + 400 <= samples)
    assert speech_frames(samples) == max(1, whole)


@pytest.mark.parametrize("samples", [1, 160, 399, 400, 640, 641, 1039, 1040, 1280, 16000, 31999])
def test_statistics_are_of_speech_alone_and_later_frames_are_zero(bank, samples):
    feats, frames = bank([noise(samples)])
    speech = speech_frames(samples)
    inside, after = feats[0, :speech].double(), feats[0, speech:]
    assert frames == [4 * math.ceil(samples / 640)] == [feats.shape[1]]
    assert torch.equal(after, torch.zeros_like(after))
    assert inside.mean(0).abs().max() < 1e-5
    if speech == 1:
        assert torch.equal(feats, torch.zeros_like(feats))
    else:
        assert (inside.var(0, unbiased=False) - 1).abs().max() < 1e-4


def test_normalisation_equals_a_slow_reference(bank):
    generator = torch.Generator().manual_seed(5)
    energies = torch.randn(3, 12, 80, generator=generator) * 3 + 7
    energies[1, :, 4] = 7.5  # a bin that never changes
    speech = [12, 7, 1]
    ours = bank.normalise(energies, torch.tensor(speech), torch.arange(12) >= torch.tensor(speech)[:, None])
    for item, count in enumerate(speech):
        expected = torch.tensor(slowly_normalised(energies[item], count, 12))
        assert (ours[item] - expected).abs().max() < 1e-5
    assert torch.equal(ours[1, :, 4], torch.zeros(12))


def test_digital_silence_is_zero_alone_and_in_a_batch(bank):
    silence = torch.zeros(20000)
    alone, frames = bank([silence])
    together, _ = bank([noise(50000), silence, noise(300)])
    assert torch.equal(alone, torch.zeros(1, frames[0], 80))
    assert torch.equal(together[1], torch.zeros_like(together[1]))


@pytest.mark.parametrize("samples", [1, 7, 160, 399])
def test_less_than_a_window_is_one_frame(bank, samples):
    """Kaldi has no frame here; ours is the window padded with zeros, seen before normalisation."""
    fixed = Filterbank(80, mean=(0.0,) * 80, std=(1.0,) * 80)
    wav = noise(samples, seed=3)
    feats, frames = fixed([wav])
    assert frames == [4] and feats.shape == (1, 4, 80)
    padded = torch.cat([wav, torch.zeros(400 - samples)])
    assert (feats[0, 0] - kaldi(padded)[0]).abs().max() < 1e-3
    assert torch.equal(feats[0, 1:], torch.zeros(3, 80))
    assert torch.equal(bank([wav])[0], torch.zeros(1, 4, 80))


def test_global_normalisation_uses_the_given_statistics():
    mean, std = tuple(float(i) / 10 for i in range(80)), tuple(1 + float(i) / 40 for i in range(80))
    bank = Filterbank(80, mean, std)
    wavs = [noise(5000), noise(16000)]
    feats, frames = bank(wavs)
    assert feats.shape == (2, 100, 80) and frames == [32, 100]
    for one, wav in zip(feats, wavs):
        speech = speech_frames(len(wav))
        expected = (kaldi(wav) - torch.tensor(mean)) / torch.tensor(std)
        assert (one[:speech] - expected).abs().max() < 1e-3
        assert torch.equal(one[speech:], torch.zeros_like(one[speech:]))


def test_global_normalisation_needs_both_statistics():
    with pytest.raises(ValueError, match="both mean and std"):
        Filterbank(80, mean=(0.0,) * 80)


def test_autocast_does_not_touch_the_features(bank):
    wavs = [noise(9000), noise(4001)]
    expected, _ = bank(wavs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        feats, _ = bank(wavs)
        from_half, _ = bank([wav.bfloat16() for wav in wavs])
    assert feats.dtype == from_half.dtype == torch.float32
    assert torch.equal(feats, expected)


def test_an_item_is_the_same_alone_and_in_any_batch(bank):
    lengths = [1, 399, 400, 640, 641, 7777, 16000, 90001]
    wavs = [noise(n, seed=n) for n in lengths]
    alone = [bank([wav])[0][0] for wav in wavs]
    for order in (range(8), [7, 0, 6, 1, 5, 2, 4, 3], [3, 3, 5]):
        feats, frames = bank([wavs[i] for i in order])
        for row, count, i in zip(feats, frames, order):
            assert count == len(alone[i])
            assert (row[:count] - alone[i]).abs().max() <= 1e-5
            assert torch.equal(row[count:], torch.zeros_like(row[count:]))


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_chunks_make_no_difference(bank, monkeypatch, chunk):
    wavs = [noise(16000), noise(5003)]
    whole, _ = bank(wavs)
    monkeypatch.setattr(module, "CHUNK_FRAMES", chunk)
    pieces, _ = bank(wavs)
    assert (pieces - whole).abs().max() < 1e-5


def test_chunks_bound_the_frames_of_the_whole_batch(bank, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "CHUNK_FRAMES", 50)
    bank.frame_energies.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[:2].numel()))
    bank([noise(16000)] * 4)
    assert len(seen) > 1 and max(seen) <= 50


def test_a_padded_tensor_of_waveforms_is_a_batch(bank):
    wavs = torch.stack([noise(3000), noise(3000, seed=1)])
    assert torch.equal(bank(wavs)[0], bank(list(wavs))[0])


@pytest.mark.parametrize(
    "wavs, text",
    [
        ([], "no waveform given"),
        ([torch.zeros(0)], r"shape \(0,\)"),
        ([torch.zeros(9), torch.zeros(1, 9)], r"shape \(1, 9\)"),
    ],
)
def test_wrong_waveforms_are_refused(bank, wavs, text):
    with pytest.raises(ValueError, match=text):
        bank(wavs)


@pytest.mark.parametrize("samples", [(16000,), (8000, 8000), (1, 24001, 640, 5000)])
def test_packed_and_separate_features_have_the_bits_of_padded_ones(bank, samples):
    wavs = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in samples]
    padded, lengths = bank(wavs)
    expected = [item[:n] for item, n in zip(padded, lengths)]
    layout = layout_of(wavs)
    packed, frames = bank.packed(layout.join(wavs), layout), layout.frames
    assert torch.equal(packed, torch.cat(expected)) and frames.lengths == lengths
    assert all(torch.equal(one, other) for one, other in zip(bank.separate(wavs), expected, strict=True))
