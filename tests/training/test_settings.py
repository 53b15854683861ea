"""Settings: YAML, dotted overrides, and mistakes in either."""

from pathlib import Path

import pytest

from mmpt.pretrain.model import build_model
from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import PretrainSettings
from mmpt.training.settings import from_plain, load_settings, to_plain
from mmpt.upstream.errors import InputError

SAMPLES = CONFIGS / "samples.yaml"


def test_overrides_win_and_are_converted():
    settings = load_settings(
        PretrainSettings, SAMPLES, ["optim.lr=1e-4", "optim.betas=[0.8, 0.9]", "seed=3", "video.n_layers=1"]
    )
    assert (settings.optim.lr, settings.optim.betas, settings.seed, settings.video.n_layers) == (1e-4, (0.8, 0.9), 3, 1)
    assert settings.data.batch_size == load_settings(PretrainSettings, SAMPLES, []).data.batch_size


@pytest.mark.parametrize("objective", ["clr", "mae", "mae+clr"])
@pytest.mark.parametrize("name", ["paper", "small", "samples"])
def test_configs_are_whole(name, objective):
    settings = load_settings(PretrainSettings, CONFIGS / f"{name}.yaml", [f"objective={objective}"])
    assert settings.preset == ("tiny" if name == "samples" else "base")


def test_paper_config_is_the_paper_s():
    """paper.md: sizes, shares and the defaults of what is open."""
    settings = load_settings(PretrainSettings, CONFIGS / "paper.yaml", [])
    video, masked, optim = settings.video, settings.masked, settings.optim
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


def test_stored_settings_read_back_the_same():
    settings = load_settings(PretrainSettings, SAMPLES, ["optim.steps=7"])
    assert from_plain(PretrainSettings, to_plain(settings)) == settings


@pytest.mark.parametrize(
    "override, complaint",
    [
        ("optim.stps=5", "did you mean optim.steps"),
        ("optim=5", "group"),
        ("optim.steps=many", "optim.steps must be of kind int"),
        ("optim.steps=1.5", "optim.steps must be of kind int"),
        ("optim.steps", "an override looks like"),
        ("optim.schedule=square", "cosine or inverse_sqrt"),
        ("preset=huge", "preset"),
        ("data.batch_size=1", "batch_size"),
        ("video.size=50", "multiple of video.patch"),
        ("data.workers=2", "data.workers=0"),
        ("seed=yes", "seed must be of kind int"),
        ("seed=-1", "seed must be"),
        ("temperature=0", "temperature"),
        ("video.patch=0", "at least 1"),
        ("optim.betas=[0.9,1.5]", "betas"),
        ("optim.lr=.inf", "optim.lr"),
        ("optim.accumulate=2", "keep apart the clips that clr compares"),
        ("masked.audio_mask=blur", "drop or zero"),
        ("objective=mea", "one of clr, mae, mae\\+clr"),
        ("weights.video=-1", "weights.audio"),
        ("data.dev_clips=1", "dev_clips"),
        ("data.sound=none", "clip or pictures"),
        ("video.contrast=look", "pictures or motion"),
    ],
)
def test_mistakes_are_named(override, complaint):
    with pytest.raises(InputError, match=complaint):
        load_settings(PretrainSettings, SAMPLES, [override])


def test_bad_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="no such config"):
        load_settings(PretrainSettings, tmp_path / "absent.yaml", [])
    (tmp_path / "bad.yaml").write_text("optim: [")
    with pytest.raises(InputError, match="not valid YAML"):
        load_settings(PretrainSettings, tmp_path / "bad.yaml", [])
