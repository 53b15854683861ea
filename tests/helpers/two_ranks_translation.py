"""Compare two ranks with one process; torchrun runs this (see test_midtrain_ranks.py).

Each rank computes its part of a batch. Rank 0 also computes the whole batch by itself, and prints, as JSON, how far
apart losses, gradients and batch statistics are.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from mmpt.midtrain.batches import BatchDataset, Vocabularies
from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.settings import CtcSettings, DataSettings, DecoderSettings, MidtrainSettings
from mmpt.midtrain.task import TrainingData, TranslationTask
from mmpt.midtrain.vocabulary import train_vocabulary
from mmpt.training.distributed import Counts, World, join_world
from mmpt.training.run_folder import RunFolder
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

from helpers.two_ranks import difference

PARTS = [slice(0, 4), slice(4, 6)]  # with different lengths, sounds and texts
SIZES = EncoderConfig(conv_channels=16, d_model=16, n_layers=2, n_heads=2, ffn_dim=32, depthwise_kernel=3, dropout=0.0)


def small_task(root: Path, world: World) -> TranslationTask:
    """Return a task in double precision and without dropout."""
    found = open_corpus(root, "it", 3000)
    train, dev = found.read("train"), found.read("dev")
    vocabularies = Vocabularies(
        *(train_vocabulary([getattr(s, side) for s in train.segments], 40) for side in ("target", "source"))
    )
    settings = MidtrainSettings(
        target_lang="it",
        device="cpu",
        ctc=CtcSettings(weight=0.5),
        data=DataSettings(workers=0, batch_frames=400),
        decoder=DecoderSettings(n_layers=2, n_heads=2, ffn_dim=32, dropout=0.0),
    )
    torch.manual_seed(0)
    task = TranslationTask(
        settings,
        TrainingData("mock", train, dev),
        vocabularies,
        Encoder(SIZES),
        None,
        RunFolder(root / "none", writes=False),
        world,
    )
    task.model.double().train()
    narrow = task.features
    task.features = lambda batch: narrow(batch).double()
    return task


def step(task: TranslationTask, model, part: slice, gather) -> dict:
    segments = task.corpus.train.segments[part]
    batch = BatchDataset([segments], task.vocabularies, task.specaugment(1))[0]
    losses = task.loss(model, batch, Counts(gather(task.counts(batch))))
    losses["loss"].backward()
    return {name: value.detach().double() for name, value in losses.items()}


def compare(root: Path, world: World) -> dict[str, float]:
    ours, whole = small_task(root, world), small_task(root, World())
    losses = step(ours, world.wrap(ours.model), PARTS[world.rank], world.gather)
    for value in losses.values():
        dist.all_reduce(value)
    reference = step(whole, whole.model, slice(0, 6), lambda counts: [counts])
    padding = ("padding_percent", "text_padding_percent")  # depends on how segments share batches
    found = {
        f"loss {name}": difference(losses[name] / world.size, value)
        for name, value in reference.items()
        if name not in padding
    }
    for (name, mine), theirs in zip(ours.model.named_parameters(), whole.model.parameters()):
        found[f"gradient of {name}"] = difference(mine.grad, theirs.grad)
    for (name, mine), theirs in zip(ours.model.named_buffers(), whole.model.buffers()):
        if mine.is_floating_point():
            found[f"buffer {name}"] = difference(mine, theirs)
    return found


if __name__ == "__main__":
    world = join_world()
    results = compare(Path(sys.argv[1]), world)
    if world.is_main:
        print(json.dumps(results))
    world.close()
