"""Several processes give the loss, gradients and statistics of one process with the whole batch."""

import json

import pytest

from mmpt.training.distributed import Counts
from mmpt.upstream.repository import REPOSITORY

from helpers.torchrun import torchrun

CASES = {
    "clr": ("clr", {}),
    "mae": ("mae", {}),
    "mae+clr": ("mae+clr", {}),
    "mae+clr, masked encodings": ("mae+clr", {"clr_sees": "masked", "audio_mask": "zero", "loss_on": "all"}),
}


@pytest.fixture(scope="module")
def differences(tmp_path_factory):
    script = str(REPOSITORY / "tests" / "helpers" / "two_ranks.py")
    result = torchrun(2, script, json.dumps(CASES), folder=tmp_path_factory.mktemp("ranks"))
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_are_one_process(differences, case):
    found = differences[case]
    assert any(name.startswith("gradient of encoder.blocks.0.convolution.batch_norm") for name in found)
    assert any(name.startswith("buffer encoder.blocks.1.convolution.batch_norm.running_var") for name in found)
    assert {name: value for name, value in found.items() if not value <= 1e-9} == {}


def test_shares_add_up_to_a_mean():
    counts = Counts([{"clips": 3}, {"clips": 5}])
    assert counts.of("clips") == [3, 5]
    assert (3 * counts.scale("clips") + 5 * counts.scale("clips")) / 2 == pytest.approx(
        1.0
    )  # DDP takes the mean over ranks
