"""Copies of weights in half precision give the gradients that autocast gives, and then the weights are back."""

import copy
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from mmpt.pretrain.transformer import compile_transformer, transformer
from mmpt.training import half_weights
from mmpt.training.distributed import World
from mmpt.training.half_weights import TOGETHER, HalfWeights
from mmpt.training.trainer import Trainer
from mmpt.upstream.mmpt_av.recompute import run_block

from helpers.no_waiting import backward, fake_gpu, to_fake_gpu

HALF = torch.bfloat16


class Blocks(nn.Module):
    """Blocks of a Transformer, whose attention has weights outside of nn.Linear, between two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(16), nn.LayerNorm(16)
        self.blocks = transformer(16, 6, 2)

    def forward(self, x: torch.Tensor, checkpointing: bool = False) -> torch.Tensor:
        x = self.before(x)
        for block in self.blocks:
            x = run_block(block, x, None, checkpointing=checkpointing)
        return self.after(x)


@pytest.fixture
def blocks() -> Blocks:
    torch.manual_seed(0)
    return Blocks()


def step(model: nn.Module, halves: HalfWeights, **options: Any) -> dict[str, torch.Tensor]:
    """Run a pass under autocast, forward and backward; return gradients by name."""
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1))
    with halves.used():
        with torch.autocast("cpu", HALF):
            loss = model(x, **options).square().sum()
        loss.backward()
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found


def expected(model: nn.Module) -> dict[str, torch.Tensor]:
    return step(model, HalfWeights(model, None))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_autocast(blocks, checkpointing):
    weights = dict(blocks.named_parameters())
    halves = HalfWeights(blocks, HALF)
    assert len(halves.places) == 6 * 8 > TOGETHER  # four layers in a block, each with a bias
    found = step(blocks, halves, checkpointing=checkpointing)
    torch.testing.assert_close(found, expected(blocks), rtol=0, atol=0)
    assert set(found) == set(weights) and all(one.dtype is torch.float32 for one in found.values())
    after = dict(blocks.named_parameters())
    assert all(after[name] is weight for name, weight in weights.items())


def test_layers_see_copies_until_the_end_and_also_after_an_error(blocks):
    layer, weight = blocks.blocks[0].linear1, blocks.blocks[0].linear1.weight
    with HalfWeights(blocks, HALF).used():
        assert layer.weight.dtype is HALF and torch.equal(layer.weight, weight.to(HALF))
        assert blocks.before.weight.dtype is torch.float32
    assert layer.weight is weight
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), HalfWeights(blocks, HALF).used():
        layer(torch.empty(1, 1, dtype=HALF))
    assert layer.weight is weight
    with HalfWeights(blocks, None).used():
        assert layer.weight is weight


def test_frozen_and_unused_weights_get_no_gradient(blocks):
    blocks.blocks[0].requires_grad_(False)
    unused = blocks.blocks[5].linear2 = nn.Linear(64, 16)
    blocks.blocks[5].forward = lambda x, visible: x
    halves = HalfWeights(blocks, HALF)
    found = step(blocks, halves)
    torch.testing.assert_close(found, expected(blocks), rtol=0, atol=0)
    assert unused.weight.grad is None and not any(name.startswith(("blocks.0", "blocks.5")) for name in found)


def test_gradients_are_converted_during_the_backward_pass(blocks, monkeypatch):
    """Else several GPUs could exchange them at its end alone."""
    monkeypatch.setattr(half_weights, "TOGETHER", 8)  # the tensors of a block
    done = []
    for number, block in enumerate(blocks.blocks):
        block.linear1.weight.register_post_accumulate_grad_hook(
            lambda _, number=number: done.append(f"weight {number}")
        )
        block.register_full_backward_hook(lambda *_, number=number: done.append(f"block {number}"))
    step(blocks, HalfWeights(blocks, HALF))
    assert all(done.index(f"weight {number}") < done.index(f"block {number - 1}") for number in range(1, 6))


def test_a_layer_that_is_used_twice_gets_the_gradients_of_autocast(blocks):
    blocks.blocks.append(blocks.blocks[0])
    assert len({id(module) for module, _ in HalfWeights(blocks, HALF).places}) == 6 * 4
    torch.testing.assert_close(step(blocks, HalfWeights(blocks, HALF)), expected(blocks), rtol=0, atol=0)


@pytest.mark.slow
def test_compiled_blocks_are_compiled_no_more_often(blocks, strict_compiler):
    found, frames = [], []
    for dtype in (None, HALF):
        model, backend = copy.deepcopy(blocks), CompileCounterWithBackend("aot_eager")
        compile_transformer(model.blocks, backend)
        found.append([step(model, HalfWeights(model, dtype)) for _ in range(3)])
        frames.append(backend.frame_count)
        torch._dynamo.reset()
    assert frames[0] == frames[1] > 0
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


def test_ddp_takes_the_gradients(blocks):
    wanted = expected(blocks)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(copy.deepcopy(blocks), gradient_as_bucket_view=True)
        halves = HalfWeights(wrapped.module, HALF)
        for _ in range(2):
            found = {name.removeprefix("module."): one.clone() for name, one in step(wrapped, halves).items()}
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    "device, precision, used", [("cuda", "bfloat16", True), ("cuda", "float32", False), ("cpu", "bfloat16", False)]
)
def test_the_trainer_makes_copies_for_bfloat16_on_gpus(blocks, device, precision, used):
    trainer = object.__new__(Trainer)
    trainer.device, trainer.world, trainer.peak = torch.device(device), World(), None
    trainer.settings, trainer.task = SimpleNamespace(precision=precision), SimpleNamespace(model=blocks)
    trainer.wrap_model()
    assert bool(trainer.half_weights.places) == used
    blocks.requires_grad_(False)
    trainer.wrap_model()
    assert not trainer.half_weights.places


class Conversions(TorchDispatchMode):
    """Count the conversions between precisions: of one tensor, and of many."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and kwargs.get("dtype", args[0].dtype) is not args[0].dtype:
            self.count["one"] += 1
        self.count["many"] += func is torch.ops.aten._foreach_copy_.default
        return func(*args, **kwargs)


def test_a_gpu_converts_many_tensors_in_one_call(blocks):
    counts = []
    for dtype in (None, HALF):
        with fake_gpu(bfloat16=True) as mode:
            model = to_fake_gpu(blocks, mode)
            with Conversions() as conversions, HalfWeights(model, dtype).used():
                backward(model(torch.empty(2, 9, 16, device="cuda")).sum())
        counts.append(conversions.count)
    before, after = counts
    assert before["many"] == 0 and after["many"] == 2 * 2  # 48 tensors in two calls, their gradients, too
    assert before["one"] - after["one"] == 2 * 48
