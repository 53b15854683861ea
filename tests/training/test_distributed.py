"""Several processes: the loss, gradients and statistics of one process with the whole batch."""

import json

import pytest

from mmpt.training.distributed import Counts, World
from mmpt.training.epochs import EpochBatches
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


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_are_one_process(differences, case):
    found = differences[case]
    assert any(name.startswith("gradient of encoder.blocks.0.convolution.batch_norm") for name in found)
    assert any(name.startswith("buffer encoder.blocks.1.convolution.batch_norm.running_var") for name in found)
    assert {name: value for name, value in found.items() if not value <= 1e-9} == {}


def test_each_clip_once_an_epoch_whatever_the_ranks():
    """Update by update, two ranks with two parts each take the clips that one process takes at once."""
    whole = [{i for _, i in batch} for batch in EpochBatches(53, 8, 5, 2, 0, World(), 1)]
    ranks = [list(EpochBatches(53, 8, 5, 2, 0, World(rank, 2), accumulate=2)) for rank in range(2)]
    assert len(whole) == 6 and all(len(rank) == 12 for rank in ranks)
    for number, clips in enumerate(whole):
        parts = [batch for rank in ranks for batch in rank[2 * number : 2 * number + 2]]
        assert all(len(part) == 2 for part in parts) and {i for part in parts for _, i in part} == clips
    assert len(set().union(*whole)) == 48
    assert list(EpochBatches(53, 8, 5, 2, 4, World(1, 2), accumulate=2)) == ranks[1][8:]
    assert list(EpochBatches(53, 8, 5, 3, 0, World(), 1)) != list(EpochBatches(53, 8, 5, 2, 0, World(), 1))


def test_shares_add_up_to_a_mean():
    counts = Counts([{"clips": 3}, {"clips": 5}])
    assert counts.of("clips") == [3, 5]
    assert (3 * counts.scale("clips") + 5 * counts.scale("clips")) / 2 == pytest.approx(
        1.0
    )  # DDP takes the mean over ranks
