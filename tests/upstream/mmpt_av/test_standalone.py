"""The folder upstream/mmpt_av, copied into another project: it needs torch alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import mmpt.upstream.mmpt_av as package
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder

from helpers.forked_python import REAL_PYTHON

pytestmark = pytest.mark.slow

HIDDEN = "mmpt torchaudio torchvision s3prl yaml av soundfile librosa scipy tqdm pandas".split()
ELSEWHERE = """
import sys

class OnlyTorch:
    \"\"\"The libraries that this project needs besides torch are not installed here.\"\"\"
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, OnlyTorch())
for name in ("mmpt", "torchaudio", "s3prl", "yaml"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} can be imported: this test proves nothing")

import torch
from speech_parts import Encoder, EncoderConfig, load_encoder, save_encoder
from speech_parts.expert import UpstreamExpert

wavs = torch.load("wavs.pt")
encoder = load_encoder("encoder.pt")
with torch.no_grad():
    states = list(encoder(wavs).hidden_states)
    through_s3prl = UpstreamExpert("encoder.pt")(wavs)["hidden_states"]
    assert all(torch.equal(one, other) for one, other in zip(states, through_s3prl))
save_encoder(encoder, "again.pt", encoder.provenance)
torch.save(states, "states.pt")
"""


def test_a_copied_folder_needs_torch_alone(tmp_path):
    shutil.copytree(
        Path(package.__file__).parent, tmp_path / "speech_parts", ignore=shutil.ignore_patterns("__pycache__")
    )
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig.preset("tiny")).eval()
    wavs = [0.1 * torch.randn(n) for n in (1, 5000, 641)]
    save_encoder(encoder, tmp_path / "encoder.pt", {"stages": ["here"]})
    torch.save(wavs, tmp_path / "wavs.pt")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [REAL_PYTHON, "elsewhere.py", *HIDDEN], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = encoder(wavs).hidden_states
    states = torch.load(tmp_path / "states.pt")
    assert len(states) == len(expected) == 5
    assert all((one - other).abs().max() <= 1e-5 for one, other in zip(states, expected))
    again, first = (torch.load(tmp_path / name, weights_only=True) for name in ("again.pt", "encoder.pt"))
    assert again["config"] == first["config"] and again["provenance"] == {"stages": ["here"]}
    assert all(torch.equal(again["state_dict"][name], tensor) for name, tensor in first["state_dict"].items())
