"""MACs against sums by hand, and against the board's figure for HuBERT base at one length."""

import json
import math

import pytest
import torch
from torch import nn

from mmpt.scripts.superb.cost import main
from mmpt.superb import cost
from mmpt.superb.cost import LENGTHS, SECONDS, encoder_cost, hubert_base, measure
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder

from helpers.expert_folders import expert_folder


def test_lengths_are_the_official_ones():
    assert {bucket: sum(lengths) / 16000 for bucket, lengths in LENGTHS.items()} == pytest.approx(
        {"short": 21.1, "medium": 36.475, "long": 57.855, "longer": 109.43}
    )
    assert SECONDS == pytest.approx(224.86)


def test_macs_are_counted_as_by_hand():
    conv, linear = nn.Conv1d(1, 8, 10, stride=5, groups=1), nn.Linear(8, 4)
    model = nn.ModuleList([conv, linear, nn.Linear(3, 3)])  # the last is never used, but counts as parameters
    found = measure(model, lambda wav: linear(conv(wav[None]).T))
    frames = {bucket: sum((n - 10) // 5 + 1 for n in lengths) for bucket, lengths in LENGTHS.items()}
    assert found.macs == {bucket: n * (8 * 10 + 8 * 4) for bucket, n in frames.items()}
    assert found.parameters == (80 + 8) + (32 + 4) + (9 + 3)


def test_hubert_base_is_the_boards_within_a_percent():
    found = hubert_base()
    assert found.parameters == 94_371_712
    assert found.total == pytest.approx(1_669_156_022_848, rel=0.01)


def test_command_prints_and_writes(tmp_path, capsys, few_lengths):
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig.preset("tiny"))
    save_encoder(encoder, tmp_path / "encoder.pt", {"stages": []})
    assert main([str(tmp_path / "encoder.pt"), "--json", str(tmp_path / "cost.json")]) == 0
    written, found = json.loads((tmp_path / "cost.json").read_text()), encoder_cost(tmp_path / "encoder.pt")
    assert written == {"parameters": found.parameters, "macs": found.macs, "macs_total": found.total}
    assert f"{found.total:,}" in capsys.readouterr().out


def test_any_encoder_has_a_cost(tmp_path, capsys, few_lengths):
    """Of a linear layer of 1 weight to 4 states for each 320 samples."""
    folder = expert_folder(tmp_path / "mine/good")
    assert main(["--encoder", str(folder), "--json", str(tmp_path / "cost.json")]) == 0
    lengths = cost.LENGTHS.items()
    macs = {bucket: 4 * sum(math.ceil(n / 320) for n in samples) for bucket, samples in lengths}
    written = json.loads((tmp_path / "cost.json").read_text())
    assert written["macs"] == macs and written["parameters"] == 8
    assert main(["--encoder", "fbnk"]) == 2 and "did you mean fbank" in capsys.readouterr().err


def test_a_missing_checkpoint_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none.pt")]) == 2
    assert "none.pt" in capsys.readouterr().err
