"""The encoder's benchmark runs, on models that are too small to mean anything, and is fair."""

import re

import pytest
import torch

from mmpt.scripts.benchmark import encoder as benchmark
from mmpt.scripts.benchmark import encoder_extraction, encoder_imports, encoder_memory, encoder_steps
from mmpt.scripts.benchmark.encoder_padding import operations, waste_percent
from mmpt.scripts.benchmark.encoder_peer import Peer
from mmpt.scripts.benchmark.encoder_steps import products
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

TINY = EncoderConfig.preset("tiny")


def features(*frames: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(n, TINY.n_mels) for n in frames]


def test_the_peer_has_our_parameters_and_padding_in_its_states():
    count = {kind: sum(parameter.numel() for parameter in kind(TINY).parameters()) for kind in (Encoder, Peer)}
    biases = TINY.n_layers * 4 * TINY.d_model  # of its convolutions, which ours follow with a norm or a gate
    assert 0 < count[Peer] - count[Encoder] <= biases
    peer, (one, other) = Peer(TINY).eval(), features(100, 400)
    with torch.no_grad():
        assert (peer([one, other])[0, :25] - peer([one])[0]).abs().max() > 1e-3


def test_the_formula_counts_what_pytorch_counts():
    config, frames = EncoderConfig.preset("base"), (100, 400)
    counted = operations(Encoder(config).eval(), [torch.randn(n, config.n_mels) for n in frames])
    assert products(config, frames) == pytest.approx(counted, rel=0.02)


def test_waste_is_the_peers_not_ours():
    feats = features(100, 400, 396)
    # Between utterances the convolutions have separators, a larger share of the tiny encoder's work than of others'.
    assert waste_percent(Encoder(TINY).eval(), feats) < 3
    assert waste_percent(Peer(TINY).eval(), feats) == pytest.approx(100 * (1200 / 896 - 1), abs=3)


@pytest.mark.slow
def test_each_part_prints_its_figures(monkeypatch, capsys):
    monkeypatch.setattr(encoder_steps, "BATCHES", {"ragged": (80, 40)})
    monkeypatch.setattr(encoder_imports, "PAIRS", dict(list(encoder_imports.PAIRS.items())[:1]))
    threads = torch.get_num_threads()
    try:
        parts = ["--parts", "ragged,half,padding,imports"]
        assert benchmark.main([*parts, "--preset", "tiny", "--rounds", "1", "--threads", "1"]) == 0
    finally:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert len(re.findall(r"torchaudio takes [\d.]+ \([\d.]+ to [\d.]+\) times as long", out)) == 2
    assert len(re.findall(r"% of the limit", out)) == 4
    assert len(re.findall(r"peak memory of a training step: ours [\d.]+ GB", out)) == 1
    for words in ("a state moves by", "on the ragged batch: float32 takes", "% more operations", "beyond torch: "):
        assert words in out


def test_extraction_and_length_print_their_figures(monkeypatch, capsys):
    from transformers import HubertConfig

    small = HubertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    monkeypatch.setattr("transformers.HubertConfig", lambda: small)
    monkeypatch.setattr(encoder_extraction, "LENGTHS_S", (0.5, 0.3))
    for name, value in {"LENGTHS_S": (1, 2), "REPEATED_S": 1, "in_new_process": lambda work, *a: work(*a)}.items():
        monkeypatch.setattr(encoder_memory, name, value)
    threads = torch.get_num_threads()
    try:
        assert benchmark.main(["--parts", "extraction,length", "--preset", "tiny", "--rounds", "1"]) == 0
    finally:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    for way in ("in one padded batch", "one by one, without padding"):
        assert re.search(rf"HuBERT base {way} takes [\d.]+ \([\d.]+ to [\d.]+\) times as long", out)
    assert len(re.findall(r"utterances/s$", out, re.MULTILINE)) == 3
    first, second = re.findall(r"^ +(\d) s: +[\d.]+ s, ([\d.]+) of linear;", out, re.MULTILINE)
    assert first == ("1", "1.00") and second[0] == "2"


def test_the_peak_is_of_memory_that_was_freed_again():
    above, whole = encoder_memory.peak_of(lambda: torch.ones(32 * 2**20).sum())  # 128 MiB, gone at the end
    assert 120e6 < above < 250e6 and whole > above


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--parts", "raged"], "there is no raged; there are ragged, equal"),
        (["--rounds", "0"], "must be at least 1"),
        (["--device", "cuda"], "--device cuda: there is none here"),
        (["--parts", "ragged,padding", "--compile"], "are for --parts ragged,equal, not for padding"),
    ],
)
def test_bad_input_is_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert benchmark.main(arguments) == 2
    assert message in capsys.readouterr().err
