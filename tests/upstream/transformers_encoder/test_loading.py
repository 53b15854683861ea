"""What folders can be loaded, and the one line that others are refused with."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import CheckpointError
from mmpt.upstream.transformers_encoder.expert import UpstreamExpert

from helpers.transformers_folders import MODELS, save_model


def states(folder, **options) -> torch.Tensor:
    wav = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.stack(UpstreamExpert(str(folder), **options).eval()([wav])["hidden_states"])


@pytest.fixture
def folder(folders, tmp_path):
    """A copy to change: HuBERT."""
    return shutil.copytree(folders["hubert"], tmp_path / "hubert")


def change(file, **values) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(("name", "kind"), [("wav2vec2", "ForCTC"), ("whisper", "ForConditionalGeneration")])
def test_a_checkpoint_with_a_head_gives_its_encoder(name, kind, tmp_path):
    """The head's weights are drawn last, so that the encoder's are the same with and without it."""
    whole = save_model(name, tmp_path / "whole", kind)
    stem = "wav2vec2." if name == "wav2vec2" else "model."
    plain = save_model(name, tmp_path / "plain")
    weights = load_file(whole / "model.safetensors")
    bare = {key.removeprefix(stem): value for key, value in weights.items() if key.startswith(stem)}
    save_file(bare, plain / "model.safetensors", {"format": "pt"})
    assert torch.equal(states(whole), states(plain))


def test_weights_in_half_precision_are_computed_in_float32(folders, tmp_path):
    half = shutil.copytree(folders["wav2vec2_large"], tmp_path / "half")
    weights = {key: value.half() for key, value in load_file(half / "model.safetensors").items()}
    save_file(weights, half / "model.safetensors", {"format": "pt"})
    change(half / "config.json", dtype="float16")
    assert states(half).dtype == torch.float32
    torch.testing.assert_close(states(half), states(folders["wav2vec2_large"]), rtol=0, atol=0.02)


@pytest.mark.parametrize("name", ["hubert", "wavlm_large", "wav2vec2_bert", "whisper", "sew_d"])
def test_a_model_in_half_precision_encodes_waveforms_in_float32(name, folders, noise):
    expert = UpstreamExpert(str(folders[name])).eval().half()
    with torch.no_grad():
        assert expert([noise(8000), noise(5000)])["last_hidden_state"].isfinite().all()


def test_weights_of_torch_save_are_read_if_no_others_are_there(folder):
    expected = states(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert torch.equal(states(folder), expected)


class Bomb:
    """A pickle that leaves a file behind if it is executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_no_code_of_a_checkpoint_is_executed(write, folder, tmp_path):
    write({"encoder.layer_norm.weight": Bomb(tmp_path / "executed")}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        UpstreamExpert(str(folder))
    assert not (tmp_path / "executed").exists()


def test_code_beside_a_checkpoint_is_not_executed(folder, tmp_path):
    (folder / "own.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    change(folder / "config.json", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"})
    states(folder)
    assert not (tmp_path / "executed").exists()


def without_config(folder):
    (folder / "config.json").unlink()


def without_extractor(folder):
    (folder / "preprocessor_config.json").unlink()


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def without_a_weight(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layers.1.attention.k_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def of_another_shape(folder):
    change(folder / "config.json", intermediate_size=33)


def of_other_samples(folder):
    change(folder / "preprocessor_config.json", sampling_rate=8000)


def of_text(folder):
    change(folder / "config.json", model_type="bert")


def of_broken_json(folder):
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (without_config, "has no config.json; name a folder that save_pretrained of transformers wrote"),
        (without_extractor, "its feature extractor (preprocessor_config.json) cannot be loaded: "),
        (without_weights, "cannot be loaded: "),
        (without_a_weight, "1 weights of the encoder are missing, such as encoder.layers.1.attention.k_proj.weight"),
        (of_another_shape, "cannot be loaded: "),
        (of_other_samples, "it was trained on 8000 Hz; S3PRL's waveforms have 16000"),
        (of_text, "its model type is 'bert'; speech encoders known here are wav2vec2, hubert, "),
        (of_broken_json, "cannot be loaded: "),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line(harm, message, folder):
    harm(folder)
    with pytest.raises(InputError) as raised:
        UpstreamExpert(str(folder))
    text = str(raised.value)
    assert text.startswith(f"{folder}: {message}") and "\n" not in text and len(text) < 500


@pytest.mark.parametrize("name", ["/no/such/folder", "./runs/hubert", "runs/a/b", "encoder.pt/"])
def test_a_folder_that_is_not_there_is_one_line(name):
    with pytest.raises(InputError, match=f"^{name}: no such folder; name one that save_pretrained"):
        UpstreamExpert(name)


def test_a_file_is_not_a_folder(folder):
    with pytest.raises(InputError, match="no such folder; name one"):
        UpstreamExpert(str(folder / "model.safetensors"))


def test_an_id_that_cannot_be_fetched_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match="^nobody/nothing-at-all: no such folder; as an id of huggingface.co it cannot be loaded: "
    ) as raised:
        UpstreamExpert("nobody/nothing-at-all")
    assert "\n" not in str(raised.value)


def test_options_come_from_a_file(folders, tmp_path):
    file = tmp_path / "window.yaml"
    file.write_text("min_window_s: 0.5\n")
    assert torch.equal(states(folders["whisper"], model_config=str(file)), states(folders["whisper"], min_window_s=0.5))
    assert not torch.equal(states(folders["whisper"], model_config=str(file)), states(folders["whisper"]))
    file.write_text("window_s: 3\n")
    with pytest.raises(CheckpointError, match="unknown key 'window_s'; did you mean min_window_s?"):
        UpstreamExpert(str(folders["whisper"]), str(file))


def test_a_misspelt_option_is_an_error(folders):
    with pytest.raises(CheckpointError, match="unknown option 'presicion'; did you mean precision?"):
        UpstreamExpert(str(folders["hubert"]), presicion="bfloat16")


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_is_close_and_gives_float32(name, folders):
    exact, rough = (states(folders[name], precision=precision) for precision in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    assert 1e-4 < (exact - rough).norm() / exact.norm() < 0.1


def test_precision_is_one_of_two(folders):
    with pytest.raises(InputError, match="precision must be float32 or bfloat16, got 'half'"):
        states(folders["hubert"], precision="half")
