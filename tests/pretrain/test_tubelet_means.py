"""Contrastive learning is sent the means of tubelets in place of pictures, and computes the same from them."""

import pytest
import torch

from mmpt.pretrain.clip_batch import collate
from mmpt.pretrain.clips import ClipDataset, Sampling, sampling_of
from mmpt.pretrain.manifest import read_manifest
from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import PretrainSettings, VideoSettings
from mmpt.pretrain.tubelets import mean_tubelets
from mmpt.pretrain.video_encoder import VideoEncoder
from mmpt.training.settings import load_settings

from helpers.clip_files import write_manifest


@pytest.mark.parametrize("objective", ["clr", "mae", "mae+clr"])
def test_pictures_are_sent_where_they_are_reconstructed(objective):
    settings = load_settings(PretrainSettings, CONFIGS / "paper.yaml", [f"objective={objective}"])
    assert settings.needs_only_tubelet_means == (objective == "clr")
    assert sampling_of(settings).means_of == (settings.video if objective == "clr" else None)


@pytest.mark.parametrize("contrast", ["pictures", "motion"])
def test_means_give_the_same_bits_as_pictures(tmp_path, contrast):
    video = VideoSettings(size=32, frames=8, patch=16, d_model=16, n_layers=1, n_heads=2, contrast=contrast)
    clips = read_manifest(write_manifest(tmp_path, [("a", 2.0, "train", "x"), ("b", 1.0, "train", "x")]))
    pictures, means = (
        collate([ClipDataset(clips, Sampling(32, 8, 2, 0.5, means_of=of), 0, 0)[3, n] for n in (0, 1)]).video
        for of in (None, video)
    )
    assert pictures.shape == (2, 3, 8, 32, 32) and pictures.dtype == torch.uint8
    assert means.shape == (2, video.times, video.pixels) and means.dtype == torch.float32
    assert torch.equal(means, mean_tubelets(pictures, video))
    torch.manual_seed(0)
    encoder = VideoEncoder(video).eval()
    assert torch.equal(encoder.pool(means), encoder.pool(pictures))
