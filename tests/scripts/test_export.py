"""scripts/export.py: untrained encoders and bad input (runs are exported in tests/pretrain/test_training.py)."""

import pytest
import torch

from mmpt.scripts.export import main
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder, save_encoder
from mmpt.upstream.mmpt_av.balance import scale_first_state


def test_an_untrained_encoder_depends_on_its_seed(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert main(["--untrained", "tiny", "--seed", str(seed), "--out", str(tmp_path / f"{name}.pt")]) == 0
    a, b, c = (load_encoder(tmp_path / f"{name}.pt").state_dict()["linear.weight"] for name in "abc")
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert load_encoder(tmp_path / "a.pt").provenance["stages"][0]["stage"] == "untrained"


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ([], "either a RUN or --untrained"),
        (["nowhere"], "nowhere"),
        (["nowhere", "--untrained", "tiny"], "either"),
        (["--untrained", "tiny", "--data", "clips.tsv"], "--data is for runs of stage 1"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, arguments, complaint):
    assert main([*arguments, "--out", str(tmp_path / "e.pt")]) == 2
    error = capsys.readouterr().err.strip()
    assert complaint in error and "\n" not in error


def test_an_empty_run_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    assert main([str(tmp_path / "run"), "--out", str(tmp_path / "e.pt")]) == 2
    assert "no checkpoint" in capsys.readouterr().err


def test_an_encoder_is_exported_again_with_denser_states(tmp_path, capsys):
    assert main(["--untrained", "tiny", "--out", str(tmp_path / "a.pt")]) == 0
    assert main([str(tmp_path / "a.pt"), "--frame-hop", "320", "--out", str(tmp_path / "b.pt")]) == 0
    a, b = load_encoder(tmp_path / "a.pt"), load_encoder(tmp_path / "b.pt")
    assert (a.hop, b.hop) == (640, 320) and a.provenance == b.provenance
    assert all(torch.equal(one, b.state_dict()[name]) for name, one in a.state_dict().items())
    assert main(["--untrained", "tiny", "--frame-hop", "320", "--out", str(tmp_path / "c.pt")]) == 0
    assert load_encoder(tmp_path / "c.pt").hop == 320
    assert main([str(tmp_path / "a.pt"), "--out", str(tmp_path / "b.pt")]) == 2
    assert "--fresh replaces it" in capsys.readouterr().err


def test_an_encoder_checkpoint_is_balanced(tmp_path, capsys):
    grown, balanced = tmp_path / "grown.pt", tmp_path / "balanced.pt"
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig.preset("tiny"))
    scale_first_state(encoder, 512.0)
    save_encoder(encoder, grown, {"stages": [{"stage": "imported"}]})
    assert main([str(grown), "--out", str(balanced), "--balance"]) == 0
    found, wav = load_encoder(balanced), torch.randn(16000).mul(0.1)
    assert found.provenance["stages"][-1]["first_state_scaled"] in (2.0**-9, 2.0**-8)
    first, *_, last = found.eval()([wav]).hidden_states
    assert 0.5 < first.norm() / last.norm() < 2
    assert torch.allclose(last, encoder.eval()([wav]).hidden_states[-1], atol=1e-3)
    assert main(["--untrained", "tiny", "--out", str(tmp_path / "b.pt"), "--balance"]) == 2
    assert "--balance is for encoder checkpoints" in capsys.readouterr().err


def test_an_encoder_is_exported_at_half_the_size(tmp_path):
    whole, half, again = (tmp_path / name for name in ("whole.pt", "half.pt", "again.pt"))
    assert main(["--untrained", "tiny", "--out", str(whole)]) == 0
    assert main(["--untrained", "tiny", "--half", "--out", str(half)]) == 0
    assert main([str(whole), "--half", "--out", str(again)]) == 0
    assert half.read_bytes() == again.read_bytes() and half.stat().st_size < 0.52 * whole.stat().st_size
    assert load_encoder(half).provenance["stages"][-1]["rounded_to"] == "float16"
    assert "rounded_to" not in load_encoder(whole).provenance["stages"][-1]
