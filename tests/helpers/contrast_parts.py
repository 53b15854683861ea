"""Compare an update in parts with the whole batch at once; torchrun runs this file (see test_contrast_in_parts.py).

Each rank has its parts of the clips, of unequal size. Rank 0 also computes the whole, and prints as JSON how far apart
losses and gradients are. Batch statistics are frozen.
"""

import json
import sys
from contextlib import nullcontext

import torch
import torch.distributed as dist

from mmpt.pretrain.contrast_in_parts import contrast_parts
from mmpt.training.distributed import Counts, World, join_world

from helpers.small_model import counts_of, masks_of, noise_batch, packed, small_model
from helpers.two_ranks import difference

PARTS = {1: [[[0, 1, 2], [3], [4, 5]]], 2: [[[0, 1], [2]], [[3], [4, 5]]]}  # processes: clips by rank and part


def inputs_of(model, clips: list[int]) -> tuple:
    """Names, and what the model takes of some clips."""
    ids, samples, feats, video = noise_batch(clips)
    return ids, (*packed(feats), video, masks_of(model, ids, samples))


def update_in_parts(model, world: World) -> dict[str, torch.Tensor]:
    """Add up the gradients of this rank's parts, as the trainer does; return the losses summed over parts and ranks."""
    parts = [inputs_of(model, clips) for clips in PARTS[world.size][world.rank]]
    each = [counts_of(ids, inputs[-1]) for ids, inputs in parts]
    counts = Counts(world.gather({name: sum(one[name] for one in each) for name in each[0]}))
    wrapped = world.wrap(model)
    ahead = contrast_parts([inputs for _, inputs in parts], lambda one: model.compared(*one), model.contrast, counts)
    total: dict[str, torch.Tensor] = {}
    for number, ((_, inputs), part) in enumerate(zip(parts, ahead)):
        is_last = number == len(parts) - 1
        with nullcontext() if is_last or world.size == 1 else wrapped.no_sync():
            losses = wrapped(*inputs, counts, part)
            losses["loss"].backward()
        total = {name: total.get(name, 0.0) + value.detach() for name, value in losses.items()}
    if world.size > 1:
        for value in total.values():
            dist.all_reduce(value)
    return {name: value / world.size for name, value in total.items()}


def compare(objective: str, options: dict, world: World) -> dict[str, float]:
    """Return how far losses and gradients of an update in parts are from those of the whole batch."""
    model, whole = (small_model(objective, **options).eval() for _ in range(2))
    losses = update_in_parts(model, world)
    ids, inputs = inputs_of(whole, [0, 1, 2, 3, 4, 5])
    reference = whole(*inputs, Counts([counts_of(ids, inputs[-1])]))
    reference["loss"].backward()
    found = {f"loss {name}": difference(losses[name], value.detach()) for name, value in reference.items()}
    for (name, ours), theirs in zip(model.named_parameters(), whole.parameters()):
        assert theirs.grad.abs().max() > 0, name
        found[f"gradient of {name}"] = difference(ours.grad, theirs.grad)
    return found


if __name__ == "__main__":
    world = join_world()
    results = {name: compare(*case, world) for name, case in json.loads(sys.argv[1]).items()}
    if world.is_main:
        print(json.dumps(results))
    world.close()
