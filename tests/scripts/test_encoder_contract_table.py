"""The table of encoders: what its columns find in encoders whose behaviour is known, and the command as typed."""

import pytest
import torch

from mmpt.scripts.benchmark import encoder_contract_table as table

from helpers.expert_folders import expert_folder

NOISE = 0.1 * torch.randn(10 * 16000, generator=torch.Generator().manual_seed(0))


class Means(torch.nn.Module):
    """Means of 320 samples, whole ones alone; `leak` adds so much of the whole batch to each."""

    def __init__(self, leak=0.0, extra=0):
        super().__init__()
        self.leak, self.extra, self.weight = leak, extra, torch.nn.Parameter(torch.ones(1))

    def get_downsample_rates(self, key):
        return 320

    def forward(self, wavs):
        batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True).to(self.weight.dtype)
        whole = batch[:, : batch.shape[1] // 320 * 320].unflatten(1, (-1, 320)).abs().mean(2, keepdim=True)
        whole = torch.nn.functional.pad(whole, (0, 0, 0, self.extra))
        return {"hidden_states": [self.weight * whole + self.leak * len(wavs)]}


def test_columns():
    assert table.length_rule(Means(), NOISE, 320) == "floor(N / hop)"
    assert table.length_rule(Means(extra=1), NOISE, 320) == "floor(N / hop) + 1"
    assert table.length_rule(Means(extra=3), NOISE, 320) == "round(N / hop) +2 to +3"
    assert table.padding_change(Means(), NOISE) == 0 and table.padding_change(Means(leak=1), NOISE) > 0.4
    layers = table.states(Means(), [NOISE])
    assert float(table.half_precision(Means(), NOISE, layers)) < 1e-2
    assert table.half_precision(torch.nn.Identity(), NOISE, layers) == "no weights"


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    folder = expert_folder(tmp_path / "mine/good")
    assert table.main(["--encoder", f"mine={folder}", "--encoder", "fbank", "--out", str(tmp_path / "table.md")]) == 0
    head, _, mine, fbank = capsys.readouterr().out.splitlines()
    assert mine.startswith("| mine | 2 × 4 | 320 | ceil(N / hop) | ") and "| yes |" in mine
    assert fbank.startswith("| fbank | 1 × 240 | 160 | ") and "| no weights |" in fbank
    assert (tmp_path / "table.md").read_text().splitlines() == [head, _, mine, fbank]
    assert table.main(["--encoder", "fbnk"]) == 2 and "did you mean fbank" in capsys.readouterr().err
