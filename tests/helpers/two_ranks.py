"""Compare two ranks with one process; torchrun runs this file (see test_distributed.py).

Each rank takes its part of a batch. Rank 0 also computes the whole, and prints as JSON how far apart loss, gradients
and batch statistics are.
"""

import json
import sys

import torch
import torch.distributed as dist

from mmpt.training.distributed import Counts, join_world

from helpers.small_model import counts_of, masks_of, noise_batch, packed, small_model

PARTS = [[0, 1, 2, 3], [4, 5]]  # uneven, as when one rank met unreadable clips


def step(model, wrapped, clips, gather):
    ids, samples, feats, video = noise_batch(clips)
    masks = masks_of(model, ids, samples)
    losses = wrapped(*packed(feats), video, masks, Counts(gather(counts_of(ids, masks))))
    losses["loss"].backward()
    return {name: value.detach() for name, value in losses.items()}


def difference(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return ((ours - reference).abs().max() / reference.abs().max().clamp(min=1e-6)).item()


def compare(objective, options, world):
    model = small_model(objective, **options).train()
    losses = step(model, world.wrap(model), PARTS[world.rank], world.gather)
    for value in losses.values():
        dist.all_reduce(value)
    whole = small_model(objective, **options).train()
    reference = step(whole, whole, sum(PARTS, []), lambda counts: [counts])
    found = {f"loss {name}": difference(losses[name] / world.size, value) for name, value in reference.items()}
    for (name, ours), theirs in zip(model.named_parameters(), whole.parameters()):
        found[f"gradient of {name}"] = difference(ours.grad, theirs.grad)
    for (name, ours), theirs in zip(model.named_buffers(), whole.buffers()):
        if ours.is_floating_point():
            found[f"buffer {name}"] = difference(ours, theirs)
    return found


if __name__ == "__main__":
    world = join_world()
    results = {
        name: compare(objective, options, world) for name, (objective, options) in json.loads(sys.argv[1]).items()
    }
    if world.is_main:
        print(json.dumps(results))
    world.close()
