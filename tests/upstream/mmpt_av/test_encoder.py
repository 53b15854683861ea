"""The encoder, compared with a slow reference: lengths, padding invariance, statistics, errors."""

import math
import random

import pytest
import torch

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

from helpers.slow_encoder import features, in_double, make, noise, slow_states

SECOND = 16000


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    return make()


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 17, 130])
@torch.no_grad()
def test_states_equal_a_slow_reference(tiny, frames):
    feats = features(frames)
    expected = [states for (states,) in slow_states(in_double(tiny), [feats])]
    # Alone, among equals and among others: three ways through the packed code.
    others = [features(9, seed=1), features(201, seed=2)]
    for batch, item in (([feats], 0), ([features(frames, seed=3), feats], 1), ([others[0], feats, others[1]], 1)):
        ours = tiny.encode_features(batch)
        assert len(ours.hidden_states) == len(expected) == 5
        for one, other in zip(ours.hidden_states, expected):
            assert (one[item, : len(other)] - other).abs().max() <= 1e-5


@torch.no_grad()
def test_bases_states_equal_a_slow_reference():
    base = make("base", n_layers=2)
    feats = features(50)
    for one, (other,) in zip(
        base.encode_features([features(7), feats]).hidden_states, slow_states(in_double(base), [feats])
    ):
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
                assert difference <= 1e-5, (
                    f"layer {layer}, {lengths[i]} samples among {[lengths[j] for j in order]}: {difference}"
                )
                assert torch.equal(row[len(own) :], torch.zeros_like(row[len(own) :]))


@pytest.mark.parametrize("seed", range(5))
@torch.no_grad()
def test_states_do_not_depend_on_the_batch(tiny, seed):
    """Random batches, lengths from one sample to 40 s (short ones as likely as long ones), each in three orders."""
    draw = random.Random(seed)
    lengths = [int(math.exp(draw.uniform(0, math.log(40 * SECOND)))) for _ in range(draw.randint(2, 6))]
    lengths += [[1, 639], [40 * SECOND], [399, 400], [641, 641], [1039, 1040]][seed]
    check_invariance(tiny, lengths, [draw.sample(range(len(lengths)), len(lengths)) for _ in range(3)])


@torch.no_grad()
def test_states_do_not_depend_on_a_batch_of_equal_lengths(tiny):
    """Equal lengths need no packing, and run through other code."""
    check_invariance(tiny, [9000] * 3 + [8961, 9600], [[0, 1, 2], [2, 0], [0, 3, 4], [4, 1, 3, 2]])


@torch.no_grad()
def test_bases_states_do_not_depend_on_the_batch():
    check_invariance(make("base"), [1, 30000, 64000, 641], [[0, 1, 2, 3], [2, 0, 3]])


@torch.no_grad()
def test_states_with_global_statistics_do_not_depend_on_the_batch():
    mean, std = tuple(10 + i / 20 for i in range(80)), tuple(2 + i / 80 for i in range(80))
    check_invariance(
        make(normalisation="global", feature_mean=mean, feature_std=std), [1, 400, 20000, 5000], [[3, 0, 2, 1], [1, 2]]
    )


@torch.no_grad()
def test_states_of_features_do_not_depend_on_the_batch(tiny):
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
def test_four_frames_give_one_state(tiny):
    feats = [features(n) for n in range(1, 21)]
    expected = [-(-n // 4) for n in range(1, 21)]
    assert [tiny.encode_features([one]).hidden_states[-1].shape[1] for one in feats] == expected
    assert tiny.encode_features(feats).lengths.tolist() == expected


@torch.no_grad()
def test_encode_packed_is_the_last_state(tiny):
    feats = [features(30), features(5), features(61)]
    x, packing = tiny.embed(*tiny.pack(feats))
    out = tiny.encode_features(feats)
    assert torch.equal(packing.unpack(x), out.hidden_states[0])
    assert torch.equal(packing.unpack(tiny.encode_packed(x, packing)), out.hidden_states[-1])


@torch.no_grad()
def test_waveforms_give_the_states_of_their_features(tiny):
    wavs = [noise(5000), noise(777)]
    separate = tiny.filterbank.separate(wavs)
    assert torch.equal(tiny.encode_features(separate).hidden_states[-1], tiny(wavs).hidden_states[-1])


@torch.no_grad()
def test_half_precision_stays_near_float32():
    """Each state of the base encoder within 2e-2, waveforms of any length in the batch."""
    base = make("base")
    wavs = [noise(16000), noise(3000), noise(160000)]
    exact = base(wavs).hidden_states
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = base(wavs).hidden_states
    for one, other in zip(half, exact):
        assert one.dtype is torch.float32 and (one - other).abs().max() <= 2e-2


def test_base_has_the_papers_size():
    base = Encoder(EncoderConfig.preset("base"))
    assert sum(parameter.numel() for parameter in base.parameters()) == 42_948_352
    assert (len(base.blocks), base.config.d_model, base.hop) == (16, 256, 640)


def test_compact_lies_between_tiny_and_base():
    compact = Encoder(EncoderConfig.preset("compact"))
    assert sum(parameter.numel() for parameter in compact.parameters()) == 3_808_832
    assert (len(compact.blocks), compact.config.d_model, compact.config.dropout) == (4, 192, 0.0)


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
def test_wrong_waveforms_are_refused(tiny, wavs, text):
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
def test_wrong_features_are_refused(tiny, feats, text):
    with pytest.raises(ValueError, match=text):
        tiny.encode_features(feats)
