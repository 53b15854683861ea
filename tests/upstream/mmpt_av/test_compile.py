"""Compiled blocks: the same states and gradients, from one compilation for all blocks and batches."""

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.filterbank import layout_of

SIZES = {"conv_channels": 8, "d_model": 16, "n_layers": 2, "n_heads": 2, "ffn_dim": 16, "depthwise_kernel": 3}


def step(encoder: Encoder, samples: list[int]) -> torch.Tensor:
    """Run a training step's forward and backward pass on noise; return the last states."""
    wavs = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in samples]
    layout = layout_of(wavs)
    feats = encoder.filterbank.packed(layout.join(wavs), layout)
    states = encoder.encode_packed(*encoder.embed(feats, layout.frames))
    states.square().sum().backward()
    return states


@pytest.mark.slow  # torch 2.8 starts a process when it first compiles
def test_one_graph_serves_all_blocks_and_twenty_ragged_batches(strict_compiler):
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(**SIZES, dropout=0.1)).train()
    backend = CompileCounterWithBackend("aot_eager")
    encoder.compile_blocks(backend=backend)
    generator = torch.Generator().manual_seed(0)
    for number in range(20):
        utterances = 2 + number % 5
        step(encoder, torch.randint(700, 30_000, (utterances,), generator=generator).tolist())
    step(encoder, [8000] * 3)
    assert counters["stats"]["unique_graphs"] == 1  # for both blocks: one graph, and no recompilation
    assert not counters["graph_break"]


@pytest.mark.slow
def test_compiled_blocks_compute_the_same(strict_compiler):
    torch.manual_seed(0)
    plain = Encoder(EncoderConfig(**SIZES, dropout=0.0)).train()
    compiled = copy.deepcopy(plain)
    compiled.compile_blocks()
    for samples in ([8000, 5000], [9000, 3000, 700]):
        torch.testing.assert_close(step(compiled, samples), step(plain, samples), atol=1e-5, rtol=1e-5)
    for (name, mine), other in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            mine.grad, other.grad, atol=1e-3, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    for mine, other in zip(compiled.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(mine, other)
