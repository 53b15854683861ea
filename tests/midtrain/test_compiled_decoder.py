"""Compiled layers of the decoder: few compilations for all layers and batches, none for decoding, the same results."""

import copy

import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from mmpt.midtrain.batches import pad
from mmpt.midtrain.decode import translate
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.settings import DecoderSettings, SearchSettings
from mmpt.midtrain.vocabulary import BOS
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.packing import Packing

SIZES = {"conv_channels": 8, "d_model": 8, "n_layers": 1, "n_heads": 2, "ffn_dim": 16, "depthwise_kernel": 3}
VOCABULARY = 20


def make_model(dropout: float) -> TranslationModel:
    torch.manual_seed(0)
    decoder = DecoderSettings(n_layers=2, n_heads=2, ffn_dim=16, dropout=dropout)
    return TranslationModel(Encoder(EncoderConfig(**SIZES, dropout=dropout)), VOCABULARY, decoder).train()


def noise(frames: list[int]) -> list[torch.Tensor]:
    return [torch.randn(n, 80, generator=torch.Generator().manual_seed(n)) for n in frames]


def step(model: TranslationModel, frames: list[int], texts: list[int]) -> torch.Tensor:
    """Run a training step's forward and backward pass on noise; return the logits."""
    inputs = pad([[BOS, *[4 + n % 9 for n in range(length - 1)]] for length in texts])
    logits = model(*model.encoder.pack(noise(frames)), inputs, Packing(texts)).logits
    logits.square().sum().backward()
    return logits


def test_two_graphs_serve_all_layers_and_twenty_ragged_batches(strict_compiler):
    model = make_model(dropout=0.1)
    model.decoder.compile_layers(backend=CompileCounterWithBackend("aot_eager"))
    generator = torch.Generator().manual_seed(0)
    for number in range(20):
        sizes = torch.randint(3, 60, (2, 2 + number % 5), generator=generator)
        step(model, *sizes.tolist())
    step(model, [50] * 3, [7] * 3)
    # For both layers: one graph, and another because the first batch happens to be as large as the number of heads.
    graphs = counters["stats"]["unique_graphs"]
    assert graphs == 2 and not counters["graph_break"]
    translate(model.eval(), noise([40, 20]), SearchSettings(beam=2, max_tokens=6))
    assert counters["stats"]["unique_graphs"] == graphs


def test_compiled_layers_compute_the_same(strict_compiler):
    plain = make_model(dropout=0.0)
    compiled = copy.deepcopy(plain)
    compiled.decoder.compile_layers(backend="aot_eager")
    for sizes in ([[50, 30], [4, 9]], [[60, 5, 20], [2, 1, 3]]):
        torch.testing.assert_close(step(compiled, *sizes), step(plain, *sizes), atol=1e-5, rtol=1e-5)
    for (name, mine), other in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-4, rtol=1e-4), name
