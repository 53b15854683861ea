"""The task of stage 1: its loss falls, and a micro-batch without a readable clip gets another clip."""

import pytest

from mmpt.pretrain.batch_statistics import training_clips
from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.task import AudioVisualTask
from mmpt.training.distributed import Counts, World
from mmpt.training.optimizer import make_optimizer
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import load_settings

from helpers.clip_files import write_manifest
from helpers.small_run import SMALL, write_small_manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_small_manifest(tmp_path_factory.mktemp("clips"))


@pytest.mark.slow
def test_three_steps_lower_the_loss_on_one_batch(manifest, tmp_path):
    settings = load_settings(PretrainSettings, CONFIGS / "samples.yaml", [*SMALL[2:], "optim.lr=2e-5"])
    task = AudioVisualTask(settings, manifest, RunFolder(tmp_path), World())
    batch = next(task.batches(0, 0))
    optimizer = make_optimizer(task.model, settings.optim)
    task.model.eval()  # without dropout the loss may only fall
    losses = []
    for _ in range(4):
        loss = task.loss(task.model, batch, Counts([task.counts(batch)]))["loss"]
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in task.model.parameters())
        optimizer.step()
    assert losses[0] > losses[1] > losses[2] > losses[3]


def test_a_micro_batch_without_a_readable_clip_gets_another(tmp_path):
    manifest = write_manifest(
        tmp_path / "clips",
        [(f"t{i}", 1.0, "train", "a") for i in range(4)] + [(f"d{i}", 1.0, "dev", "a") for i in range(2)],
    )
    (manifest.parent / "t2.mp4").write_bytes(b"broken")
    options = ["data.batch_size=4", "optim.accumulate=4", "data.max_bad_share=0.5"]  # parts of one clip
    settings = load_settings(PretrainSettings, CONFIGS / "samples.yaml", [*SMALL[2:], "objective=mae", *options])
    task = AudioVisualTask(settings, manifest, RunFolder(tmp_path), World())
    batches = list(task.batches(0, 0))
    assert len(batches) == 4 and all(len(batch.clips) == 1 and batch.masks for batch in batches)
    assert [name for name, _ in task.skipped.drain()] == ["t2"]


def test_only_the_named_sets_train_and_are_in_the_provenance(tmp_path):
    manifest = write_manifest(
        tmp_path / "clips",
        [(f"t{i}", 1.0, "train", "a") for i in range(4)] + [(f"d{i}", 1.0, "dev", "a") for i in range(2)],
    )
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line.replace("mock", "other") if line[:2] in ("t0", "t1") else line for line in lines))
    options = ["data.batch_size=2", "data.sets=[other]"]
    settings = load_settings(PretrainSettings, CONFIGS / "samples.yaml", [*SMALL[2:], *options])
    task = AudioVisualTask(settings, manifest, RunFolder(tmp_path), World())
    assert [clip.id for clip in task.train.clips] == ["t0", "t1"]
    assert [clip.id for clip in task.dev.clips] == ["d0", "d1"]
    assert task.provenance(0)["stages"][0]["data"] == "other"
    assert [clip.id for clip in training_clips(settings, manifest).clips] == ["t0", "t1"]
