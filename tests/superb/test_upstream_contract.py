"""The validator: ours passes, and each way to break the contract is found."""

import math

import pytest
import torch

from mmpt.scripts.superb.check_upstream import main
from mmpt.superb.upstream_contract import FAIL, PASS, WARN, Upstream, check_contract
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.s3prl_runner import building, repairs

from helpers.expert_folders import expert_folder

LONG_S = 3


class Good(torch.nn.Module):
    """An upstream of a few lines: a linear layer of means over 320 samples. The others break one thing."""

    rate = 320

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(1, 4)

    def get_downsample_rates(self, key):
        return self.rate

    def states(self, wavs):
        longest = max(map(len, wavs))
        padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
        padded = torch.nn.functional.pad(padded, (0, math.ceil(longest / 320) * 320 - longest))
        return self.linear(padded.unflatten(1, (-1, 320)).mean(2, keepdim=True))

    def forward(self, wavs):
        states = self.states(wavs)
        return {"hidden_states": [states, 2 * states], "last_hidden_state": 2 * states}


class OddShapes(Good):
    def forward(self, wavs):
        return {"hidden_states": [self.states(wavs), self.states(wavs)[:, 1:]]}


class NoDictionary(Good):
    def forward(self, wavs):
        return self.states(wavs)


class NaN(Good):
    def forward(self, wavs):
        return {"hidden_states": [self.states(wavs) * float("nan")]}


class FractionalRate(Good):
    rate = 320.0


class WrongRate(Good):
    rate = 160


class BatchNormed(Good):
    def states(self, wavs):
        states = super().states(wavs)
        return states - states.mean()


class Random(Good):
    def states(self, wavs):
        return torch.nn.functional.dropout(super().states(wavs), 0.5, training=True)


class Truncating(Good):
    def states(self, wavs):
        return super().states(wavs)[:, :100]


class NoShortInputs(Good):
    def states(self, wavs):
        assert min(map(len, wavs)) >= 400
        return super().states(wavs)


class Detached(Good):
    def states(self, wavs):
        return super().states(wavs).detach().requires_grad_()


@pytest.fixture(scope="module", autouse=True)
def mended():
    repairs.apply()


def levels(model) -> dict[str, str]:
    return {verdict.expected: verdict.level for verdict in check_contract(Upstream(model, "cpu"), LONG_S)}


def test_a_good_one_passes_everything():
    assert set(levels(Good()).values()) == {PASS} and len(levels(Good())) == 13


@pytest.mark.parametrize(
    "model, what, level",
    [
        (OddShapes, "states are (B, T, C), of one shape", FAIL),
        (NoDictionary, "shapes", FAIL),
        (NaN, "no NaN or infinite value", FAIL),
        (FractionalRate, "the rate is a whole number", FAIL),
        (WrongRate, "T is round(samples / rate), give or take 4", FAIL),
        (BatchNormed, "an utterance is the same alone and in a batch", WARN),
        (Random, "the same input gives the same output", FAIL),
        (Truncating, f"a long input ({LONG_S} s)", FAIL),
        (NoShortInputs, "short inputs (SD has chunks of one frame)", WARN),
        (Detached, "gradients under -f", FAIL),
    ],
)
def test_each_fault_is_found(model, what, level):
    assert levels(model())[what] == level


def test_the_command_on_our_own(tmp_path, capsys):
    torch.manual_seed(0)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), tmp_path / "encoder.pt", {"stages": []})
    assert main([f"mmpt_av:{tmp_path}/encoder.pt", "--long", "3", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13 and all(line.startswith("pass  ") for line in lines)
    (tmp_path / "options.yaml").write_text("frame_hop: 320\n")
    assert (
        main(
            [
                "-u",
                "mmpt_av",
                "-k",
                str(tmp_path / "encoder.pt"),
                "-g",
                str(tmp_path / "options.yaml"),
                "--long",
                "3",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    assert "320 samples, 20 ms" in capsys.readouterr().out


def test_the_command_fails_where_a_verdict_does(monkeypatch, capsys):
    monkeypatch.setattr(building, "build", lambda name: Random())
    assert main(["anything", "--long", "3", "--device", "cpu"]) == 1
    assert "FAIL  the same input gives the same output" in capsys.readouterr().out


def test_the_command_on_a_folders_expert(tmp_path, capsys):
    folder = expert_folder(tmp_path / "mine/good")
    assert main([str(folder), "--long", "3", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "pass  the rate is a whole number: 320 samples, 20 ms" in printed
    assert "warn  an utterance is the same alone and in a batch" in printed


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["mmpt_av"], "mmpt_av needs a checkpoint: mmpt_av:FILE"),
        (["-u", "mmpt_av", "-k", "absent"], "absent: no such encoder checkpoint"),
        (["fbnk"], "did you mean fbank"),
        (["apc_local"], "apc_local: cannot be built so: TypeError"),
        ([], "give one encoder, UPSTREAM[:CKPT[:CONFIG]]"),
        (["fbank", "-u", "fbank"], "give one encoder"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, message):
    assert main([*arguments, "--device", "cpu"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error
