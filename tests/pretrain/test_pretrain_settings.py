"""Settings of stage 1 and its configs."""

import pytest

from mmpt.pretrain.model import build_model
from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import MaskedSettings, PretrainSettings
from mmpt.training.lengths import resolve
from mmpt.training.settings import load_settings
from mmpt.upstream.errors import InputError

SAMPLES = CONFIGS / "samples.yaml"


@pytest.mark.parametrize("objective", ["clr", "mae", "mae+clr"])
@pytest.mark.parametrize("name", ["paper", "small", "samples"])
def test_configs_are_complete(name, objective):
    settings = load_settings(PretrainSettings, CONFIGS / f"{name}.yaml", [f"objective={objective}"])
    assert settings.preset == ("tiny" if name == "samples" else "base")


def test_paper_config_has_the_values_of_the_paper():
    """Sizes and shares of the paper, and our defaults for what it leaves open."""
    settings = load_settings(PretrainSettings, CONFIGS / "paper.yaml", [])
    video, masked, optim = settings.video, settings.masked, resolve(settings, 1, settings.data.batch_size).optim
    assert (video.size, video.frames, video.stride, video.patch, video.tubelet) == (224, 16, 4, 16, 2)
    assert (video.d_model, video.n_layers, video.n_heads, video.crop_min) == (768, 12, 12, 0.5)
    assert (masked.audio_share, masked.video_share, masked.audio_mask, masked.audio_mask_at) == (
        0.6,
        0.6,
        "drop",
        "tokens",
    )
    assert (masked.loss_on, masked.normalise_pixels, masked.clr_sees) == ("masked", False, "everything")
    assert (masked.decoder_width, masked.decoder_layers, masked.decoder_heads) == (512, 4, 16)
    assert (settings.projection, settings.temperature, settings.temperature_learned) == (256, 0.07, True)
    assert (optim.lr, optim.betas, optim.weight_decay, optim.schedule) == (
        1.6e-3 * settings.data.batch_size / 256,
        (0.9, 0.95),
        0.05,
        "cosine",
    )
    assert (settings.weights.audio, settings.weights.video, settings.weights.clr) == (1, 1, 1)
    model = build_model(settings)
    assert sum(p.numel() for p in model.encoder.parameters()) == 42_948_352
    assert sum(p.numel() for p in model.video_encoder.blocks.parameters()) == 85_054_464  # ViT-B's twelve blocks


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"audio_share": 1.0}, "audio_share"),
        ({"audio_mask": "blur"}, "audio_mask must be drop or zero"),
        ({"audio_share": 0.0}, "loss_on=masked"),
        ({"decoder_width": 30, "decoder_heads": 4}, "decoder_width"),
    ],
)
def test_impossible_masking_is_an_error(options, complaint):
    with pytest.raises(InputError, match=complaint):
        MaskedSettings(**options)
