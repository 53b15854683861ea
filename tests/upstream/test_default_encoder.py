"""The encoder of a command that names none, each in its turn: the variable's, the newest run's, the repository's."""

from pathlib import Path

import pytest
import soundfile
import torch

from mmpt.scripts import extract
from mmpt.superb.encoders import read_encoders
from mmpt.upstream import repository
from mmpt.upstream.default_encoder import default_encoder
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.s3prl_runner import encoder_defaults
from mmpt.upstream.s3prl_runner.experiment_names import default_name
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """Make a clone with an encoder in its box, and work in it."""
    folder = tmp_path / "clone"
    (folder / "samples" / "encoders").mkdir(parents=True)
    (folder / "samples" / "README.md").touch()
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig.preset("tiny"))
    save_encoder(encoder, folder / "samples/encoders/demo.pt", {"stages": []}, half=True)
    monkeypatch.setattr(repository, "REPOSITORY", folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MMPT_AV_CKPT", raising=False)
    return folder


def test_a_run_precedes_the_encoder_in_the_box_and_the_variable_precedes_both(clone):
    path, note = default_encoder(clone, {}, "-k")
    assert path == str(clone / "samples/encoders/demo.pt")
    assert note.startswith("encoder: samples/encoders/demo.pt (the small trained encoder of the repository")
    assert "see samples/encoders/README.md" in note and "-k names another" in note
    (clone / "runs" / "clr").mkdir(parents=True)
    (clone / "runs/clr/encoder.pt").touch()
    path, note = default_encoder(clone, {}, "-k")
    assert path == str(clone / "runs/clr/encoder.pt") and "the newest of 1 under runs/" in note
    (clone / "runs/evening").mkdir()
    (clone / "runs/evening/study.json").touch()
    for other in ("untrained", "first/untrained", "evening/encoders/clr"):  # newer ones that nobody means
        (clone / "runs" / other).mkdir(parents=True)
        (clone / "runs" / other / "encoder.pt").touch()
    assert default_encoder(clone, {}, "-k") == (path, note)
    assert default_encoder(clone, {"MMPT_AV_CKPT": "x.pt"}, "-k") == ("x.pt", "encoder: x.pt ($MMPT_AV_CKPT)")


def test_without_any_encoder_the_error_tells_where_one_is(clone):
    (clone / "samples/encoders/demo.pt").unlink()
    with pytest.raises(InputError, match=r"no encoder: give --ckpt FILE .*\(no run here has an encoder\)"):
        default_encoder(clone, {}, "--ckpt")
    (clone / "samples/README.md").unlink()  # as where the package is installed
    with pytest.raises(InputError, match="only a clone of the repository has a trained encoder"):
        default_encoder(clone, {}, "--ckpt")


def test_the_runner_takes_the_encoder_in_the_box(clone):
    world = Surroundings(clone, {}, lambda: clone, lambda: "cpu", lambda path: {})
    plan = Plan({"downstream": "ks", "upstream": "mmpt_av"})
    encoder_defaults.fill_encoder(plan, world)
    assert plan.values["upstream_ckpt"] == str(clone / "samples/encoders/demo.pt")
    assert default_name(plan) == "ks_mmpt_av_demo"
    assert "samples/encoders/demo.pt" in plan.notes[0] and "-k names another" in plan.notes[0]


def test_states_are_extracted_with_the_encoder_in_the_box(clone, capsys):
    soundfile.write("a.wav", torch.randn(1300).mul(0.1).numpy(), 16000)
    assert extract.main(["a.wav", "--out", "features", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("encoder: samples/encoders/demo.pt (") and "--ckpt names another" in out
    assert (clone / "features" / "a.npz").is_file()
    (clone / "samples/encoders/demo.pt").unlink()
    assert extract.main(["a.wav", "--out", "features"]) == 2
    assert capsys.readouterr().err.startswith("error: no encoder: give --ckpt FILE")


def test_a_superb_run_names_the_encoder_in_the_box(clone):
    with pytest.raises(InputError, match="has a trained encoder: --ckpt samples/encoders/demo.pt"):
        read_encoders([])
    (clone / "samples/encoders/demo.pt").unlink()
    with pytest.raises(InputError) as caught:
        read_encoders([])
    assert "demo" not in str(caught.value)
