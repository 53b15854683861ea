"""The benchmarks of stage 2 run, on models that are too small to mean anything, and are fair."""

import re

import pytest
import torch

from mmpt.midtrain.settings import DecoderSettings
from mmpt.midtrain.vocabulary import EOS
from mmpt.scripts.benchmark import translating, translation_step
from mmpt.scripts.benchmark.timing import ratios, spread
from mmpt.scripts.benchmark.translation_peer import IGNORED, make_peer, padding_percent, peer_inputs, utterances
from mmpt.upstream.mmpt_av import EncoderConfig

CPU = torch.device("cpu")
SMALL = ["--preset", "tiny", "--vocabulary", "50", "--threads", "1"]


def test_lengths_are_librispeech_like():
    drawn = utterances(500, 50)
    lengths = torch.tensor([u.frames / 100 for u in drawn])
    assert lengths.mean().item() == pytest.approx(12.3, abs=0.4) and lengths.std().item() == pytest.approx(
        3.84, abs=0.3
    )
    assert 1 <= lengths.min() and lengths.max() <= 17
    assert sum(len(u.tokens) for u in drawn) / lengths.sum().item() == pytest.approx(3.3, abs=0.05)
    again, other = utterances(500, 50), utterances(500, 50, seed=1)
    assert (
        all(torch.equal(a.feats, b.feats) and a.tokens == b.tokens for a, b in zip(again, drawn))
        and other[0].tokens != drawn[0].tokens
    )


def test_the_peer_gets_the_same_utterances():
    batch = utterances(3, 50)
    inputs = peer_inputs(batch, CPU)
    for one, feats, mask, labels in zip(batch, inputs["input_features"], inputs["attention_mask"], inputs["labels"]):
        assert (
            torch.equal(feats[: one.frames], one.feats) and mask.sum() == one.frames and not feats[one.frames :].any()
        )
        assert labels[labels != IGNORED].tolist() == [*one.tokens, EOS]
    frames = [u.frames for u in batch]
    assert padding_percent([batch]) == pytest.approx(100 * (1 - sum(frames) / (3 * max(frames))))


def test_the_peer_has_the_sizes_of_ours():
    config, decoder = EncoderConfig.preset("tiny"), DecoderSettings(n_layers=2, ffn_dim=64)
    peer = make_peer(config, decoder, 50, 5, CPU)
    layer = peer.model.encoder.layers[0]
    assert len(peer.model.encoder.layers) == 5 and len(peer.model.decoder.layers) == 2
    assert layer.fc1.weight.shape == (config.ffn_dim, config.d_model) and layer.self_attn.num_heads == config.n_heads
    assert peer.model.encoder.conv.conv_layers[0].weight.shape == (
        config.conv_channels,
        80,
        5,
    ) and peer.lm_head.weight.shape == (50, config.d_model)


@pytest.mark.slow
def test_training_steps_are_compared(capsys):
    assert translation_step.main([*SMALL, "--batch-frames", "1800", "--rounds", "1", "--peer-layers", "2"]) == 0
    told = capsys.readouterr().out
    for order in ("random order", "like lengths together"):
        assert re.search(rf"^{order}: [0-9.]+ % of padded features are padding$", told, re.MULTILINE)
    for name in ("ours", "ours, padded", r"Speech2Text \(2 Transformer layers\)"):
        assert len(re.findall(rf"^  {name}: [0-9.e+]+ \([0-9.e+]+ to [0-9.e+]+\) frames/s", told, re.MULTILINE)) == 2
    assert (
        len(re.findall(r"^  time of .* over ours: .*; arithmetic of the first batch [0-9.]+$", told, re.MULTILINE)) == 4
    )


def test_translating_is_compared_on_texts_of_one_length(capsys):
    assert translating.main([*SMALL, "--batch-frames", "1800", "--rounds", "1", "--tokens", "4", "--beam", "2"]) == 0
    told = capsys.readouterr().out
    assert "4 tokens each" in told and "time of Speech2Text over ours, whole" in told and "search alone" in told


def test_a_ratio_is_of_pairs():
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0] and spread([3.0, 1.0, 2.0]) == "2 (1 to 3)"


@pytest.mark.parametrize("command", [translation_step, translating])
def test_bad_input_is_one_line(command, capsys):
    assert command.main(["--rounds", "0"]) == 2
    assert capsys.readouterr().err == "error: --rounds must be at least 1, not 0\n"
