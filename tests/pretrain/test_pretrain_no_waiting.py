"""A whole step of stage 1 on a fake GPU, forward and backward: it runs, and the processor does not wait."""

from types import SimpleNamespace

import pytest
import torch

from mmpt.pretrain.clip_batch import ClipItem
from mmpt.pretrain.model import build_model
from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.task import AudioVisualTask, Batch, Collate
from mmpt.training.distributed import Counts
from mmpt.training.half_weights import HalfWeights
from mmpt.training.optimizer import make_optimizer
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import load_settings
from mmpt.training.trainer import Trainer

from helpers.no_waiting import NoWaiting, backward, fake_gpu, to_fake_gpu

DENSE, RAGGED = [16000] * 3, [16000, 640, 9001]  # samples of clips


def noise_batch(settings: PretrainSettings, samples: list[int]) -> Batch:
    """Return a batch as a worker makes it."""
    video = settings.video
    shape = video.frames, video.size, video.size, 3
    pictures = torch.zeros(shape, dtype=torch.uint8)
    if settings.needs_only_tubelet_means:
        pictures = torch.zeros(video.times, video.pixels)
    items = [ClipItem(f"clip{n}", 0, torch.randn(length), pictures, "a") for n, length in enumerate(samples)]
    return Collate(settings)(items)


def task_of(settings: PretrainSettings) -> AudioVisualTask:
    """Return the task of a run as far as a step needs it: without data."""
    task = object.__new__(AudioVisualTask)
    task.settings, task.device = settings, torch.device("cuda")
    return task


@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("samples", [DENSE, RAGGED], ids=["dense", "ragged"])
@pytest.mark.parametrize(
    "options",
    [
        ["objective=clr"],
        ["objective=clr", "video.contrast=pictures"],
        ["objective=clr", "video.pool=attention"],
        ["objective=mae"],
        ["objective=mae", "masked.audio_mask=zero", "masked.audio_mask_at=features", "masked.loss_on=all"],
        ["objective=mae", "masked.normalise_pixels=true"],
        ["objective=mae+clr"],
        ["objective=mae+clr", "video.pool=attention", "video.contrast=pictures"],
        ["objective=mae+clr", "masked.clr_sees=masked"],
        ["objective=mae+clr", "optim.checkpoint_blocks=true"],
    ],
    ids=lambda options: " ".join(option.split(".")[-1] for option in options),
)
def test_a_step_does_not_wait(options, samples, bfloat16):
    settings = load_settings(PretrainSettings, CONFIGS / "samples.yaml", options)
    task, model, batch = task_of(settings), build_model(settings), noise_batch(settings, samples)
    with fake_gpu(bfloat16) as mode:
        task.model = to_fake_gpu(model, mode).train()
        task.encoder = task.model.encoder
        batch = to_fake_gpu(batch, mode)
        tables = [
            batch.clips.layout.tables,
            *([batch.masks.audio.tables, batch.masks.encoded.tables] if batch.masks else []),
        ]
        made = [[*one._tables] for one in tables]
        halves = HalfWeights(task.model, torch.bfloat16 if bfloat16 else None)
        with NoWaiting(), halves.used():
            losses = task.loss(task.model, batch, Counts([task.counts(batch)]))
            backward(losses["loss"])
    assert [[*one._tables] for one in tables] == made  # these are made with the batch
    assert losses["loss"].dtype == torch.float32 and set(losses) == {"loss", *settings.losses}
    for name, weight in task.model.named_parameters():
        assert weight.grad is not None and weight.grad.dtype == torch.float32, name
        assert weight.grad.shape == weight.shape and weight.grad.device.type == "cuda", name


@pytest.mark.slow
def test_an_update_of_the_weights_does_not_wait(tmp_path):
    """Bad updates are counted beside it: their number is copied to pinned memory, which a fake GPU does not have."""
    settings = load_settings(PretrainSettings, CONFIGS / "samples.yaml", ["objective=clr"])
    model = build_model(settings)
    trainer = object.__new__(Trainer)
    trainer.settings, trainer.folder = settings, RunFolder(tmp_path)
    trainer.bad_updates = SimpleNamespace(
        check=lambda run: None, add=lambda norm: norm.isfinite().logical_not().float()
    )
    with fake_gpu() as mode:
        trainer.task = SimpleNamespace(model=to_fake_gpu(model, mode))
        for weight in trainer.task.model.parameters():
            weight.grad = torch.randn_like(weight)
        trainer.optimizer = make_optimizer(trainer.task.model, settings.optim)
        with NoWaiting():
            norm, is_bad = trainer.apply_gradients()
    assert norm.device.type == is_bad.device.type == "cuda"
    assert all(weight.grad is None for weight in trainer.task.model.parameters())
