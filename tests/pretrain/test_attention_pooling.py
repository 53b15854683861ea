"""What contrastive learning does with all tubelets of a clip: their mean over space, or attention."""

import dataclasses

import pytest
import torch

from mmpt.pretrain.settings import MaskedSettings, PretrainSettings, VideoSettings
from mmpt.pretrain.tubelets import cut_tubelets, motion_of
from mmpt.pretrain.video_encoder import AttentionPooling, VideoEncoder
from mmpt.training.distributed import Counts
from mmpt.upstream.errors import InputError

from helpers import small_model as helpers
from helpers.small_model import VIDEO, counts_of, masks_of, noise_batch, packed, small_model

ATTENTION = dataclasses.replace(VIDEO, pool="attention")


def encoders(**options):
    """An encoder that takes the mean, and one with attention and the same weights, whose query still is zero."""
    made = []
    for settings in (VIDEO, ATTENTION):
        torch.manual_seed(0)
        made.append(VideoEncoder(dataclasses.replace(settings, **options)).double())
    return made


@pytest.fixture
def attention(monkeypatch):
    monkeypatch.setattr(helpers, "VIDEO", ATTENTION)


def test_training_starts_from_the_mean():
    mean, pooled = encoders()
    assert set(pooled.state_dict()) - set(mean.state_dict()) == {
        "pooling.query",
        "pooling.norm.weight",
        "pooling.norm.bias",
    }
    video = noise_batch([0, 1, 2])[3]
    torch.testing.assert_close(pooled.pool(video), mean.pool(video), rtol=1e-5, atol=1e-6)  # pixels are float32


def test_pooling_is_a_weighted_mean_of_places_in_any_order():
    pooling = AttentionPooling(8, 2).double()
    torch.nn.init.normal_(pooling.query)
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    slow = torch.zeros(3, 8, dtype=torch.float64)
    for n in range(3):
        for part in (slice(0, 4), slice(4, 8)):
            weights = (pooling.norm(x[n])[:, part] @ pooling.query[part] / 4**0.5).softmax(0)
            slow[n, part] = weights @ x[n, :, part]
    torch.testing.assert_close(pooling(x), slow)
    torch.testing.assert_close(pooling(x[:, torch.randperm(5)]), slow)
    assert (slow - x.mean(1)).abs().max() > 0.01


def test_places_are_known_by_their_positions_alone():
    """Moving all tubelets and their positions alike changes nothing; moving tubelets alone does."""
    _, encoder = encoders()
    torch.nn.init.normal_(encoder.pooling.query)
    video = noise_batch([0, 1])[3]
    before = encoder.pool(video)
    flipped = video.flip(-1).unflatten(-1, (2, 4)).flip(-1).flatten(-2)  # the tubelets of each row change places
    assert torch.equal(cut_tubelets(flipped, VIDEO)[:, 0], cut_tubelets(video, VIDEO)[:, 1])
    moved = encoder.pool(flipped)
    assert (moved - before).abs().max() > 1e-4
    with torch.no_grad():
        encoder.positions.space.copy_(encoder.positions.space.unflatten(0, (2, 2)).flip(1).flatten(0, 1))
    torch.testing.assert_close(encoder.pool(flipped), before)


def test_attention_sees_motion_that_the_mean_does_not():
    """Two tubelets that change against each other leave no trace in their mean."""
    mean, pooled = encoders(contrast="motion")
    torch.nn.init.normal_(pooled.pooling.query)
    still = torch.full((1, 3, VIDEO.frames, VIDEO.size, VIDEO.size), 128, dtype=torch.uint8)
    moving = still.clone()
    for frame in range(VIDEO.frames):
        moving[:, :, frame, :4, :4] += 20 * (frame % 2)
        moving[:, :, frame, :4, 4:] -= 20 * (frame % 2)
    torch.testing.assert_close(mean.pool(moving), mean.pool(still))
    assert (pooled.pool(moving) - pooled.pool(still)).abs().max() > 1e-3


def test_motion_of_all_tubelets_is_that_of_one_scale():
    tubelets = cut_tubelets(noise_batch([0])[3], VIDEO).float().unflatten(1, (VIDEO.times, VIDEO.places))
    change = motion_of(tubelets, VIDEO)
    assert change.shape == tubelets.shape
    assert change.mean().item() == pytest.approx(0.45 * 255, rel=1e-3)
    assert (change / 255).std().item() == pytest.approx(0.225, rel=0.05)


@pytest.mark.parametrize("objective", ["clr", "mae+clr"])
def test_each_weight_has_a_gradient(attention, objective):
    ids, samples, feats, video = noise_batch([0, 1, 2, 3])
    model = small_model(objective)
    masks = masks_of(model, ids, samples)
    model(*packed(feats), video, masks, Counts([counts_of(ids, masks)]))["loss"].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert model.video_encoder.pooling.query.grad.abs().max() > 0


def test_settings():
    assert PretrainSettings(objective="clr").needs_only_tubelet_means
    settings = PretrainSettings(objective="clr", video=ATTENTION)
    assert not settings.needs_only_tubelet_means
    PretrainSettings(objective="mae+clr", video=ATTENTION)
    for options in ({"objective": "mae"}, {"objective": "mae+clr", "masked": MaskedSettings(clr_sees="masked")}):
        with pytest.raises(InputError, match=r"video\.pool=attention"):
            PretrainSettings(**options, video=ATTENTION)
    with pytest.raises(InputError, match=r"video\.pool must be mean or attention"):
        VideoSettings(pool="max")
