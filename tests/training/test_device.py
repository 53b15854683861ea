"""The device and the precision that a run computes in."""

import pytest
import torch

from mmpt.training.device import set_precision, use_device, uses_bfloat16
from mmpt.training.settings import TrainSettings
from mmpt.upstream.errors import InputError

GPU = torch.device("cuda")


@pytest.fixture
def old_gpu(monkeypatch):
    """Let this machine have a GPU without bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    before = torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32 = before


def test_auto_is_bfloat16_where_a_gpu_has_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert uses_bfloat16(TrainSettings(), GPU) and not uses_bfloat16(TrainSettings(), torch.device("cpu"))
    assert uses_bfloat16(TrainSettings(precision="bfloat16"), torch.device("cpu"))
    assert not uses_bfloat16(TrainSettings(precision="float32"), GPU)


def test_auto_is_float32_on_an_old_gpu_and_is_reported(old_gpu, capsys):
    assert not uses_bfloat16(TrainSettings(), GPU) and uses_bfloat16(TrainSettings(precision="bfloat16"), GPU)
    set_precision(TrainSettings(), GPU)
    assert capsys.readouterr().out == ""
    set_precision(TrainSettings(), GPU, prints=True)
    assert "Tesla V100 has no bfloat16" in capsys.readouterr().out


def test_float32_on_a_gpu_is_not_tf32(old_gpu):
    torch.backends.cudnn.allow_tf32 = True
    for settings, device in ((TrainSettings(precision="bfloat16"), GPU), (TrainSettings(), torch.device("cpu"))):
        set_precision(settings, device)
        assert torch.backends.cudnn.allow_tf32
    set_precision(TrainSettings(precision="float32"), GPU)
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    "name, message", [("meta", "its tensors have no values"), ("gpu", "device=gpu cannot be used")]
)
def test_a_device_that_cannot_train_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        use_device(name)
