"""Tubelets: cut, joined, averaged and normalised."""

import pytest
import torch

from mmpt.pretrain.settings import VideoSettings
from mmpt.pretrain.tubelets import (
    cut_tubelets,
    join_tubelets,
    mean_tubelets,
    motion_of,
    normalise_pixels,
    normalise_tubelets,
)


def test_tubelets_are_cut_joined_and_averaged():
    settings = VideoSettings(size=32, frames=6, patch=8, tubelet=3)
    video = torch.randint(0, 256, (2, 3, 6, 32, 32), dtype=torch.uint8)
    cut = cut_tubelets(video, settings)
    assert cut.shape == (2, settings.tokens, settings.pixels) and settings.tokens == 32
    assert torch.equal(
        cut[1, 16 + 4 + 2].view(3, 3, 8, 8), video[1, :, 3:6, 8:16, 16:24]
    )  # second time, second row, third column
    assert torch.equal(join_tubelets(normalise_pixels(cut), settings), video)
    means = cut.float().unflatten(1, (2, 16)).mean(2)
    torch.testing.assert_close(mean_tubelets(video, settings), means)


def test_motion_does_not_depend_on_looks():
    settings = VideoSettings(size=8, frames=4, patch=4, tubelet=2)
    moving = torch.rand(2, 3, 4, 8, 8)
    dull = 0.3 * moving + torch.rand(2, 3, 1, 1, 1)  # of less contrast and in another light
    ours, reference = (motion_of(mean_tubelets(255 * video, settings), settings) for video in (dull, moving))
    torch.testing.assert_close(ours, reference, rtol=1e-3, atol=0.5)  # of 255
    assert normalise_pixels(reference).std().item() == pytest.approx(1, rel=0.05)
    still = moving[:, :, :1].expand(-1, -1, 4, -1, -1)
    assert normalise_pixels(motion_of(mean_tubelets(255 * still, settings), settings)).abs().max() < 1e-2


def test_normalised_targets_have_no_brightness():
    normal = normalise_tubelets(torch.randn(4, 48) * 3 + 5)
    torch.testing.assert_close(normal.mean(-1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.var(-1), torch.ones(4), atol=1e-4, rtol=0)
