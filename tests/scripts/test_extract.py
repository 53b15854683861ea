"""scripts/extract.py: states of sound files, whole and in order; a second call makes what is missing."""

import json

import numpy
import pytest
import soundfile
import torch

from mmpt.scripts.extract import main
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder, save_encoder


@pytest.fixture
def place(tmp_path):
    torch.manual_seed(0)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), tmp_path / "encoder.pt", {"stages": []})
    generator = numpy.random.default_rng(0)
    for name, samples in (("speech/a.wav", 16000), ("speech/b/c.wav", 5001), ("speech/b/d.flac", 700)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, generator.normal(0, 0.1, samples), 16000, subtype="PCM_16")
    return tmp_path


def extract(place, *arguments, sounds=("speech",)) -> int:
    files = ["--ckpt", str(place / "encoder.pt"), "--out", str(place / "out")]
    return main([*(str(place / sound) for sound in sounds), *files, "--device", "cpu", *arguments])


@torch.no_grad()
def expected(place, name, hop=640):
    encoder = load_encoder(place / "encoder.pt")
    encoder.hop = hop
    return [
        layer[0]
        for layer in encoder([torch.from_numpy(soundfile.read(place / name, dtype="float32")[0])]).hidden_states
    ]


def test_the_last_layer_as_npz(place):
    assert extract(place) == 0
    found = {file.relative_to(place / "out").as_posix() for file in (place / "out").rglob("*.npz")}
    assert found == {"a.npz", "b/c.npz", "b/d.npz"}
    content = numpy.load(place / "out/b/c.npz")
    assert content["states"].shape == (8, 96) and (
        int(content["samples"]),
        int(content["hop"]),
        content["layers"].tolist(),
    ) == (5001, 640, [4])
    assert abs(content["states"] - expected(place, "speech/b/c.wav")[-1].numpy()).max() <= 1e-4


def test_chosen_layers_as_pt_at_20_ms_in_half_precision(place):
    assert extract(place, "--layers", "0,-2", "--format", "pt", "--frame-hop", "320", "--half") == 0
    content = torch.load(place / "out/a.pt", weights_only=True)
    assert (
        content["states"].shape == (2, 50, 96)
        and content["states"].dtype == torch.float16
        and content["layers"] == [0, 3]
    )
    for states, layer in zip(content["states"], (0, 3)):
        assert (states - expected(place, "speech/a.wav", hop=320)[layer]).abs().max() <= 1e-2


def test_products_in_half_precision(place, capsys):
    assert extract(place, "--precision", "bfloat16") == 0
    states, exact = numpy.load(place / "out/b/c.npz")["states"], expected(place, "speech/b/c.wav")[-1].numpy()
    assert states.dtype == numpy.float32 and 1e-4 < abs(states - exact).max() <= 2e-2
    assert extract(place) == 2 and "or precision" in capsys.readouterr().err


def test_all_layers_and_small_batches(place):
    assert extract(place, "--layers", "all", "--batch-s", "0.1") == 0
    assert numpy.load(place / "out/b/d.npz")["states"].shape == (5, 2, 96)


def test_any_rate_and_channels(place):
    soundfile.write(place / "stereo.wav", numpy.random.default_rng(1).normal(0, 0.1, (44100, 2)), 44100)
    assert extract(place, sounds=["stereo.wav"]) == 0
    content = numpy.load(place / "out/stereo.npz")
    assert abs(int(content["samples"]) - 16000) <= 2 and content["states"].shape == (25, 96)


def test_a_second_call_makes_only_what_is_missing(place, capsys):
    extract(place)
    times = {file: file.stat().st_mtime_ns for file in (place / "out").rglob("*.npz") if file.name != "a.npz"}
    (place / "out/a.npz").unlink()
    assert extract(place) == 0 and "2 of 3 files were done before" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in times} == times
    assert (place / "out/a.npz").is_file()


def test_features_of_two_choices_are_not_mixed(place, capsys):
    extract(place)
    assert extract(place, "--layers", "0") == 2 and "give another --out, or --fresh" in capsys.readouterr().err
    assert extract(place, "--layers", "0", "--fresh") == 0
    assert numpy.load(place / "out/a.npz")["layers"].tolist() == [0]


def test_a_list_of_what_was_skipped_goes_with_the_reason_for_it(place, capsys):
    (place / "speech/broken.wav").write_bytes(b"RIFF nothing")
    assert extract(place) == 1
    (place / "speech/broken.wav").unlink()
    assert extract(place) == 0 and not (place / "out/skipped.jsonl").exists()
    (place / "out/extract.json").write_text("{")
    assert extract(place) == 2 and "--fresh" in capsys.readouterr().err


def test_an_interrupted_call_leaves_no_features_of_the_settings_before(place, monkeypatch, capsys):
    extract(place)
    with monkeypatch.context() as patch:
        patch.setattr("mmpt.scripts.extraction.write_all", raising(RuntimeError("killed")))
        with pytest.raises(RuntimeError, match="killed"):
            extract(place, "--layers", "0", "--fresh")
    assert not list((place / "out").rglob("*.npz"))
    (place / "out/of_another_call.npz").write_bytes(b"features")
    assert extract(place, "--layers", "1", "--fresh") == 2
    assert "--fresh would keep 1 of them, such as" in capsys.readouterr().err
    assert (place / "out/of_another_call.npz").is_file()


def raising(error):
    def fail(*arguments):
        raise error

    return fail


def test_what_cannot_be_read_is_listed(place, capsys):
    (place / "speech/broken.wav").write_bytes(b"RIFF nothing")
    assert extract(place) == 1 and "1 files could not be read" in capsys.readouterr().err
    entry = json.loads((place / "out/skipped.jsonl").read_text())
    assert entry["file"].endswith("broken.wav") and entry["reason"]
    assert len(list((place / "out").rglob("*.npz"))) == 3


@pytest.mark.parametrize(
    "sounds, more, message",
    [
        (["absent.wav"], [], "absent.wav: no such file or folder"),
        (["empty"], [], "holds no sound file"),
        (["speech/a.wav", "other/a.wav"], [], "would both be written"),
        (["speech"], ["--layers", "7"], "has the layers 0 to 4"),
        (["speech"], ["--layers", "first"], "give last, all, or numbers"),
    ],
)
def test_bad_input_is_one_line(place, capsys, sounds, more, message):
    (place / "empty").mkdir()
    (place / "other").mkdir()
    (place / "other/a.wav").write_bytes((place / "speech/a.wav").read_bytes())
    assert extract(place, *more, sounds=sounds) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
