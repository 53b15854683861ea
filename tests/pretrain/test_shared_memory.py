"""The shared memory that workers need: what is told, and when a run warns."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from mmpt.pretrain import shared_memory
from mmpt.pretrain.clip_batch import ClipItem, collate
from mmpt.pretrain.jpeg_pictures import JpegPictures
from mmpt.pretrain.pictures import Crop
from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import PretrainSettings
from mmpt.training.prefetch import tensors_in
from mmpt.training.settings import load_settings
from mmpt.upstream.mmpt_av.layout import Layout


def paper(*options: str) -> PretrainSettings:
    return load_settings(PretrainSettings, CONFIGS / "paper.yaml", list(options))


@pytest.mark.parametrize("options", [["objective=clr"], ["objective=mae"], ["objective=mae", "data.decode=gpu"]])
def test_a_clip_has_the_bytes_of_its_tensors(options):
    settings = paper(*options)
    video = torch.zeros(16, 224, 224, 3, dtype=torch.uint8)
    if options == ["objective=clr"]:
        video = torch.zeros(settings.video.times, settings.video.pixels)
    elif len(options) == 2:
        video = JpegPictures([torch.zeros(20_000, dtype=torch.uint8)] * 16, (256, 340), Crop(0, 0, 256, False))
    batch = collate([ClipItem("a", 0, torch.zeros(160_000), video, "x")])
    tensors = [batch.joined, batch.video, *([batch.jpegs.data] if batch.jpegs else [])]
    size = sum(one.nbytes for one in tensors) + 10 * shared_memory.INDEX_BYTES_PER_S
    assert shared_memory.clip_bytes(settings, jpeg_bytes_per_s=25 * 20_000) == pytest.approx(size, rel=0.01)


def test_a_second_of_sound_has_the_bytes_of_its_index_tensors():
    samples = [16_000 * seconds for seconds in range(2, 11)]
    (sent,) = tensors_in(Layout(samples).prepare().tables.__reduce__())
    assert sent.nbytes / (sum(samples) / 16_000) == pytest.approx(shared_memory.INDEX_BYTES_PER_S, rel=0.02)


def test_needs_of_the_paper_s_config():
    lines = list(shared_memory.needs(jpeg_bytes_per_s=500_000))
    assert lines[0] == "Shared memory (/dev/shm) for pretrain/configs/paper.yaml on one GPU, batches of 256 clips:"
    assert [line.split(" about ")[1] for line in lines[1:]] == [
        "0.37 GB for each worker, 2.9 GB for 8 workers",
        "1.6 GB for each worker, 13 GB for 8 workers",
        "0.5 GB for each worker, 4 GB for 8 workers",
    ]


def test_a_run_warns_if_there_is_too_little(monkeypatch):
    free = SimpleNamespace(free=64e6)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    line = shared_memory.warning(paper("objective=mae"), 1, 1, [])
    assert line == (
        "warning: workers need about 13 GB of shared memory, and /dev/shm has 0.064 GB free: lower data.workers or "
        "data.batch_size, or give a container more (docker run --shm-size=14g)"
    )
    assert "about 6.3 GB" in shared_memory.warning(paper("objective=mae"), 16, 8, [])  # two machines of eight GPUs
    assert not shared_memory.warning(paper("objective=mae", "data.workers=0"), 1, 1, [])
    free.free = 13e9
    assert not shared_memory.warning(paper("objective=mae"), 1, 1, [])
