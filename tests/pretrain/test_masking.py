"""Random masks: drawn by name, without replacement, and never over padding."""

import dataclasses
import math

import pytest
import torch

from mmpt.pretrain.masking import draw_masks, kept_tokens, wanted_frames
from mmpt.pretrain.settings import MaskedSettings
from mmpt.upstream.mmpt_av.layout import speech_frames


def test_masks_are_drawn_by_seed_epoch_and_name():
    settings = MaskedSettings()
    together = draw_masks(settings, 0, 4, ["a", "b", "c"], [160_000, 5000, 160_000], 1568)
    alone = draw_masks(settings, 0, 4, ["b"], [5000], 1568)
    assert torch.equal(together.video_seen[1], alone.video_seen[0])
    assert (together.audio_seen[100:103] - 250).tolist() == alone.audio_seen.tolist()
    for other in (
        draw_masks(settings, 1, 4, ["a"], [160_000], 1568),
        draw_masks(settings, 0, 5, ["a"], [160_000], 1568),
    ):
        assert not torch.equal(other.audio_seen, together.audio_seen[:100])
        assert not torch.equal(other.video_seen[0], together.video_seen[0])


def test_sixty_per_cent_are_masked_without_replacement():
    masks = draw_masks(MaskedSettings(), 0, 0, ["a", "b"], [160_000, 160_000], 1568)
    assert masks.encoded.lengths == [100, 100] and len(masks.audio_hidden) == 300
    assert sorted(masks.audio_seen.tolist() + masks.audio_hidden.tolist()) == list(range(500))
    assert masks.video_seen.shape == (2, 627) and masks.video_hidden.shape == (2, 941)
    for seen, hidden in zip(masks.video_seen.tolist(), masks.video_hidden.tolist()):
        assert sorted(seen + hidden) == list(range(1568)) and seen == sorted(seen)
    assert kept_tokens(1, 0.6) == 1  # the shortest clip keeps its only token
    share = (
        torch.stack([draw_masks(MaskedSettings(), seed, 0, ["a"], [160_000], 16).audio_seen for seed in range(200)])
        .flatten()
        .bincount(minlength=250)
    )
    assert share.min() > 45 and share.max() < 120  # 80 expected at every place


@pytest.mark.parametrize("samples", [1, 400, 640, 641, 6400, 160_000])
def test_frames_that_only_pad_are_never_wanted(samples):
    tokens = math.ceil(samples / 640)
    frames = wanted_frames(torch.arange(tokens), samples)
    assert frames.tolist() == list(range(min(4 * tokens, speech_frames(samples))))
    masks = draw_masks(dataclasses.replace(MaskedSettings(), loss_on="all"), 0, 0, ["a", "b"], [samples, 160_000], 8)
    assert len(masks.audio_wanted) == speech_frames(samples) + 998
