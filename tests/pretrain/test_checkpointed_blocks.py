"""Checkpointed blocks give the same losses and gradients, with the same dropout, and keep less."""

import pytest
import torch

from mmpt.training.distributed import Counts
from mmpt.training.meter import FlopCount
from mmpt.upstream.mmpt_av.recompute import checkpoint_blocks

from helpers.contrast_parts import inputs_of
from helpers.small_model import counts_of, small_model


def update(objective: str, checkpointing: bool, backend: str | None = None):
    """Return the losses, the gradients and the bytes kept for the backward pass of a batch, with dropout."""
    model = small_model(objective).train()
    for module in model.modules():
        if hasattr(module, "p"):
            module.p = 0.2
    checkpoint_blocks(model, checkpointing)
    if backend:
        for name, block in model.named_modules():
            if name in ("encoder.blocks.0", "video_encoder.blocks.0"):
                block.compile(backend=backend, dynamic=True)
    ids, inputs = inputs_of(model, [0, 1, 2, 3, 4, 5])
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(5)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        losses = model(*inputs, Counts([counts_of(ids, inputs[-1])]))
    losses["loss"].backward()
    return losses, {name: p.grad for name, p in model.named_parameters()}, sum(kept.values())


@pytest.mark.parametrize("objective", ["clr", "mae", "mae+clr"])
def test_gradients_are_the_same(objective):
    losses, gradients, kept = update(objective, checkpointing=True)
    reference, theirs, all_kept = update(objective, checkpointing=False)
    assert all(torch.equal(losses[name], value) for name, value in reference.items())
    for name, gradient in theirs.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-9, atol=1e-12, msg=name)
    assert kept < 0.7 * all_kept


@pytest.mark.slow
def test_compiled_blocks_are_checkpointed():
    losses, gradients, kept = update("clr", checkpointing=True, backend="aot_eager")
    reference, theirs, all_kept = update("clr", checkpointing=False, backend="aot_eager")
    assert losses["loss"].item() == pytest.approx(reference["loss"].item(), rel=1e-9)
    for name, gradient in theirs.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-9, atol=1e-12, msg=name)
    assert kept < 0.7 * all_kept


def test_what_runs_again_is_no_progress():
    """MFU counts the arithmetic of a plain pass."""
    counted = []
    for checkpointing in (False, True):
        flops = FlopCount(enabled=True)
        with flops.counting(6):
            update("mae+clr", checkpointing)
        counted.append(flops.per_unit)
    assert counted[0] and counted[0] == counted[1]
