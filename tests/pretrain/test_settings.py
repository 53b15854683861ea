"""Settings: YAML, dotted overrides, and mistakes in either."""

from pathlib import Path

import pytest

from mmpt.pretrain.audiovisual import PretrainSettings
from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.settings import fill, load_settings, to_plain
from mmpt.upstream.errors import InputError

SAMPLES = CONFIGS / "samples.yaml"


def test_overrides_win_and_are_converted():
    settings = load_settings(PretrainSettings, SAMPLES, ["optim.lr=1e-4", "optim.betas=[0.8, 0.9]", "seed=3", "video.n_layers=1"])
    assert (settings.optim.lr, settings.optim.betas, settings.seed, settings.video.n_layers) == (1e-4, (0.8, 0.9), 3, 1)
    assert settings.data.batch_size == load_settings(PretrainSettings, SAMPLES, []).data.batch_size


@pytest.mark.parametrize("name", ["paper", "samples"])
def test_configs_are_whole(name):
    settings = load_settings(PretrainSettings, CONFIGS / f"{name}.yaml", [])
    assert settings.preset == ("base" if name == "paper" else "tiny")


def test_stored_settings_read_back_the_same():
    settings = load_settings(PretrainSettings, SAMPLES, ["optim.steps=7"])
    assert fill(PretrainSettings, to_plain(settings), "") == settings


@pytest.mark.parametrize("override, complaint", [
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
])
def test_mistakes_are_named(override, complaint):
    with pytest.raises(InputError, match=complaint):
        load_settings(PretrainSettings, SAMPLES, [override])


def test_bad_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="no such config"):
        load_settings(PretrainSettings, tmp_path / "absent.yaml", [])
    (tmp_path / "bad.yaml").write_text("optim: [")
    with pytest.raises(InputError, match="not valid YAML"):
        load_settings(PretrainSettings, tmp_path / "bad.yaml", [])
