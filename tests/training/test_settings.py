"""Settings from YAML and dotted overrides, and mistakes in either."""

from pathlib import Path

import pytest

from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import PretrainSettings
from mmpt.training.settings import from_plain, load_settings, to_plain
from mmpt.upstream.errors import InputError

SAMPLES = CONFIGS / "samples.yaml"


def test_overrides_replace_values_and_are_converted():
    settings = load_settings(
        PretrainSettings, SAMPLES, ["optim.lr=1e-4", "optim.betas=[0.8, 0.9]", "seed=3", "video.n_layers=1"]
    )
    assert (settings.optim.lr, settings.optim.betas, settings.seed, settings.video.n_layers) == (1e-4, (0.8, 0.9), 3, 1)
    assert settings.data.batch_size == load_settings(PretrainSettings, SAMPLES, []).data.batch_size


def test_stored_settings_are_read_again():
    settings = load_settings(PretrainSettings, SAMPLES, ["optim.steps=7"])
    assert from_plain(PretrainSettings, to_plain(settings)) == settings


@pytest.mark.parametrize(
    "override, complaint",
    [
        ("optim.stps=5", "did you mean optim.steps"),
        ("lr=3", "unknown setting lr; did you mean optim.lr"),
        (".lr=3", "an override looks like"),
        ("optim=5", "group"),
        ("optim.steps=many", "optim.steps must be of kind int"),
        ("optim.steps=1.5", "optim.steps must be of kind int"),
        ("optim.steps", "an override looks like"),
        ("optim.schedule=square", "cosine or inverse_sqrt"),
        ("preset=huge", "preset"),
        ("data.batch_size=1", "batch_size"),
        ("video.size=50", "multiple of video.patch"),
        ("data.workers=2", "data.workers=0"),
        ("data.workers=100000", "data.workers must lie between 0 and 512, got 100000"),
        ("peak_tflops=-5", "peak_tflops must be above 0"),
        ("weights.clr=0", "objective clr: all of its losses have weight 0; give one of weights.clr"),
        ("seed=yes", "seed must be of kind int"),
        ("seed=-1", "seed must be"),
        ("temperature=0", "temperature"),
        ("video.patch=0", "at least 1"),
        ("optim.betas=[0.9,1.5]", "betas"),
        ("optim.lr=.inf", "optim.lr"),
        ("masked.audio_mask=blur", "drop or zero"),
        ("objective=mea", "one of clr, mae, mae\\+clr"),
        ("weights.video=-1", "weights.audio"),
        ("weights.video=.nan", "weights.audio"),
        ("optim.weight_decay=.inf", "optim.weight_decay"),
        ("data.memory_gb=.inf", "data.memory_gb"),
        ("data.max_bad_share=-1", "data.max_bad_share must lie between 0 and 1, got -1"),
        ("data.max_bad_share=.nan", "data.max_bad_share must lie between 0 and 1"),
        ("data.dev_clips=1", "dev_clips"),
        ("data.sound=none", "clip or pictures"),
        ("video.contrast=look", "pictures or motion"),
    ],
)
def test_a_mistake_is_an_error_that_names_the_setting(override, complaint):
    with pytest.raises(InputError, match=complaint):
        load_settings(PretrainSettings, SAMPLES, [override])


def test_a_bad_file_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(InputError, match="no such config"):
        load_settings(PretrainSettings, tmp_path / "absent.yaml", [])
    (tmp_path / "bad.yaml").write_text("optim: [")
    with pytest.raises(InputError, match="not valid YAML"):
        load_settings(PretrainSettings, tmp_path / "bad.yaml", [])
