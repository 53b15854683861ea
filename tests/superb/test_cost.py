"""MACs against sums by hand, and against the board's figure for HuBERT base at one length."""

import json

import pytest
import torch
from torch import nn

from mmpt.scripts.superb.cost import main
from mmpt.superb.cost import LENGTHS, SECONDS, encoder_cost, hubert_base, measure
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder


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


def test_a_missing_checkpoint_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none.pt")]) == 2
    assert "none.pt" in capsys.readouterr().err
