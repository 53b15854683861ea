"""torch.hub's entries, from a clone: beside an installed mmpt-av, and with torch alone."""

import os
import runpy
import shutil
import subprocess

import pytest
import torch

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.repository import REPOSITORY

from helpers.forked_python import REAL_PYTHON

WAVS = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (1, 5000, 641)]
ELSEWHERE = """
import sys, torch
sys.modules["mmpt"] = None  # not installed here
encoder = torch.hub.load("clone", "mmpt_av", "encoder.pt", source="local")
with torch.no_grad():
    torch.save(list(encoder(torch.load("wavs.pt")).hidden_states), "states.pt")
assert not {"mmpt", "upstream", "torchaudio", "s3prl", "yaml"} & {name for name in sys.modules if sys.modules[name]}
"""


def load(entry, *arguments, folder=REPOSITORY, **options):
    return torch.hub.load(str(folder), entry, *arguments, source="local", **options)


def states(encoder, hop=640) -> list[torch.Tensor]:
    encoder.hop = hop
    with torch.no_grad():
        return list(encoder(WAVS).hidden_states)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig.preset("tiny")).eval()


@pytest.fixture(scope="module")
def folder(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    save_encoder(encoder, folder / "encoder.pt", {"stages": ["here"]})
    return folder


def test_the_entries_explain_themselves():
    found = runpy.run_path(str(REPOSITORY / "hubconf.py"))
    entries = {name: value for name, value in found.items() if callable(value) and not name.startswith("_")}
    assert list(entries) == ["mmpt_av", "mmpt_av_untrained"] and found["dependencies"] == ["torch"]
    assert all("in evaluation mode" in entry.__doc__ for entry in entries.values())


@pytest.mark.parametrize("hop", [640, 320])
def test_a_checkpoint_gives_its_encoder(encoder, folder, hop):
    found = load("mmpt_av", str(folder / "encoder.pt"), frame_hop=hop)
    assert not found.training and found.hop == hop and found.provenance == {"stages": ["here"]}
    assert all(map(torch.equal, states(found, hop), states(encoder, hop)))


def test_the_environment_names_the_checkpoint(encoder, folder, monkeypatch):
    monkeypatch.setenv("MMPT_AV_CKPT", str(folder / "encoder.pt"))
    assert all(map(torch.equal, states(load("mmpt_av")), states(encoder)))
    monkeypatch.delenv("MMPT_AV_CKPT")
    with pytest.raises(Exception, match=r"\$MMPT_AV_CKPT: is not set"):
        load("mmpt_av")


def test_an_untrained_one_has_a_presets_sizes():
    assert load("mmpt_av_untrained", "tiny").config.to_dict() == EncoderConfig.preset("tiny").to_dict()
    with pytest.raises(ValueError, match="unknown preset 'huge'"):
        load("mmpt_av_untrained", "huge")


def test_it_is_the_clones_encoder_whichever_is_installed(tmp_path):
    for name, hop in (("one", 640), ("other", 320)):
        shutil.copytree(REPOSITORY / "upstream/mmpt_av", tmp_path / name / "upstream/mmpt_av")
        shutil.copy(REPOSITORY / "hubconf.py", tmp_path / name)
        config = tmp_path / name / "upstream/mmpt_av/config.py"
        config.write_text(config.read_text().replace("frame_hop: int = HOP_SAMPLES", f"frame_hop: int = {hop}"))
    hops = [load("mmpt_av_untrained", "tiny", folder=tmp_path / name).hop for name in ("one", "other", "one")]
    assert hops == [640, 320, 640]


@pytest.mark.slow
def test_a_clone_that_is_not_installed_needs_torch_alone(encoder, folder):
    shutil.copytree(
        REPOSITORY / "upstream/mmpt_av",
        folder / "clone/upstream/mmpt_av",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(REPOSITORY / "hubconf.py", folder / "clone")
    torch.save(WAVS, folder / "wavs.pt")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([REAL_PYTHON, "-c", ELSEWHERE], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = torch.load(folder / "states.pt")
    assert all((one - other).abs().max() <= 1e-5 for one, other in zip(found, states(encoder), strict=True))
