"""The blocks of the Vision Transformer against PyTorch's, and compiled."""

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from mmpt.pretrain.transformer import compile_transformer, transformer

LENGTHS = torch.tensor([7, 3, 1, 5])


def blocks_of_pytorch(d_model, n_layers, n_heads):
    return nn.ModuleList(
        nn.TransformerEncoderLayer(d_model, n_heads, 4 * d_model, 0.0, "gelu", batch_first=True, norm_first=True)
        for _ in range(n_layers)
    )


def both(d_model=32, n_layers=3, n_heads=4):
    """Our blocks and PyTorch's, each drawn from the same seed, and the next number that is drawn."""
    drawn = []
    for make in (transformer, blocks_of_pytorch):
        torch.manual_seed(0)
        drawn.append((make(d_model, n_layers, n_heads), torch.rand(1)))
    return drawn


def test_a_seed_gives_the_weights_of_pytorchs_blocks_in_the_same_order():
    (ours, next_of_ours), (reference, next_of_reference) = both()
    assert torch.equal(next_of_ours, next_of_reference)
    for (name, mine), (other_name, other) in zip(
        ours.named_parameters(), reference.named_parameters(), strict=True
    ):  # an optimiser's state goes by their order
        assert name == other_name and torch.equal(mine, other)


@pytest.mark.parametrize("is_padded", [False, True])
def test_blocks_compute_what_pytorchs_do(is_padded):
    ours, reference = (blocks.double() for blocks, _ in both())
    for blocks in (ours, reference):
        for p in blocks.parameters():  # biases and norms, too
            nn.init.normal_(p, std=0.2, generator=torch.Generator().manual_seed(p.numel()))
    ours.load_state_dict(reference.state_dict())
    visible = torch.arange(7) < LENGTHS[:, None]
    wanted = visible if is_padded else torch.ones_like(visible)
    results = []
    for blocks in (ours, reference):
        x = torch.randn(4, 7, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = x
        for block in blocks:
            if blocks is ours:
                y = block(y, visible if is_padded else None)
            else:
                y = block(y, src_key_padding_mask=~visible if is_padded else None)
        y = y[wanted]
        results.append((y, torch.autograd.grad(y.pow(3).sum(), [x, *blocks.parameters()])))
    for mine, other in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9 * other.abs().max().item())
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-9, atol=1e-9)


def test_padding_changes_nothing():
    blocks = both()[0][0].double()
    x = torch.randn(4, 7, 32, dtype=torch.float64)
    y = x
    for block in blocks:
        y = block(y, torch.arange(7) < LENGTHS[:, None])
    for clip, length in enumerate(LENGTHS.tolist()):
        alone = x[clip : clip + 1, :length]
        for block in blocks:
            alone = block(alone)
        torch.testing.assert_close(y[clip, :length], alone[0], rtol=1e-9, atol=1e-9)


def step(blocks, shape, visible=None):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(shape[1])).requires_grad_()
    y = x
    for block in blocks:
        y = block(y, visible)
    (y if visible is None else y[visible]).square().sum().backward()
    return y, x.grad


def test_each_kind_of_block_is_one_graph_for_twenty_batches(strict_compiler):
    """Blocks of one kind share a graph; the decoder's need a second one, with a mask for sounds."""
    encoder, decoder = transformer(32, 3, 4), transformer(16, 2, 2)
    for blocks in (encoder, decoder):
        compile_transformer(blocks, CompileCounterWithBackend("aot_eager"))
    for number in range(20):
        clips, longest = 2 + number % 5, 3 + 7 * number % 11
        step(encoder, (clips, 4 + number, 32))
        step(decoder, (clips, 10 + number, 16))
        lengths = torch.arange(clips) % longest + 1
        step(decoder, (clips, longest, 16), torch.arange(longest) < lengths[:, None])
    assert counters["stats"]["unique_graphs"] == 3
    assert not counters["graph_break"]


@pytest.mark.slow
def test_compiled_blocks_compute_the_same(strict_compiler):
    plain = transformer(16, 2, 2)
    compiled = copy.deepcopy(plain)
    compile_transformer(compiled, "aot_eager")
    for shape, visible in (((3, 5, 16), None), ((2, 7, 16), torch.arange(7) < torch.tensor([[7], [4]]))):
        for mine, other in zip(step(compiled, shape, visible), step(plain, shape, visible)):
            torch.testing.assert_close(mine, other)
    for mine, other in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-4)
