"""Compiled blocks: the same states and gradients, from one compilation for all blocks and batches."""

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, filterbank
from mmpt.upstream.mmpt_av.filterbank import Filterbank, layout_of

from helpers.no_waiting import HAS_FAKE_GPU, fake_gpu, to_fake_gpu

SIZES = {"conv_channels": 8, "d_model": 16, "n_layers": 2, "n_heads": 2, "ffn_dim": 16, "depthwise_kernel": 3}

TORCH = tuple(map(int, torch.__version__.split(".")[:2]))
# On a processor alone: GPUs have a convolution of ours.
FIXES_LENGTHS = pytest.mark.skipif(
    TORCH >= (2, 14), reason="inductor fixes the length in a convolution's backward pass"
)


def step(encoder: Encoder, samples: list[int]) -> torch.Tensor:
    """Run a training step's forward and backward pass on noise; return the last states."""
    wavs = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in samples]
    layout = copy.deepcopy(layout_of(wavs).prepare())  # as another process gets it
    feats = encoder.filterbank.packed(layout.join(wavs), layout)
    states = encoder.encode_packed(*encoder.embed(feats, layout.frames))
    states.square().sum().backward()
    return states


@pytest.mark.slow  # torch 2.8 starts a process when it first compiles
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=FIXES_LENGTHS)])
def test_one_graph_serves_all_blocks_and_twenty_ragged_batches(strict_compiler, backend):
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(**SIZES, dropout=0.1)).train()
    encoder.compile_blocks(CompileCounterWithBackend(backend))
    generator = torch.Generator().manual_seed(0)
    for number in range(20):
        utterances = 2 + number % 5
        step(encoder, torch.randint(700, 30_000, (utterances,), generator=generator).tolist())
    step(encoder, [8000] * 3)
    assert counters["stats"]["unique_graphs"] == 1  # for both blocks: one graph, and no recompilation
    assert not counters["graph_break"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_one_graph_serves_the_front_end(strict_compiler, backend, monkeypatch):
    monkeypatch.setattr(filterbank, "CHUNK_FRAMES", 150)
    plain, compiled = Filterbank(80), Filterbank(80)
    compiled.compile_energies(backend)
    for seconds in (3, 1, 2, 5):
        wav = 0.1 * torch.randn(16000 * seconds)
        assert (compiled([wav])[0] - plain([wav])[0]).abs().max() < 1e-3
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]
    assert torch.equal(copy.deepcopy(compiled)([wav])[0], plain([wav])[0])  # copies are not compiled


@pytest.mark.skipif(not HAS_FAKE_GPU, reason="torch 2.8 needs a GPU's driver for this")
def test_the_front_end_is_compiled_on_gpus_alone():
    encoder = Encoder(EncoderConfig(**SIZES))
    encoder.compile_blocks("eager")
    assert encoder.blocks[0]._compiled_call_impl is not None
    assert encoder.filterbank.frame_energies._compiled_call_impl is None
    with fake_gpu() as mode:
        on_gpu = to_fake_gpu(encoder, mode)
        on_gpu.compile_blocks("eager")
    assert on_gpu.filterbank.frame_energies._compiled_call_impl is not None


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
