"""The order of an epoch: each item once, whatever the number of ranks."""

from mmpt.training.distributed import World
from mmpt.training.epochs import EpochBatches


def test_each_clip_is_seen_once_an_epoch_on_any_number_of_ranks():
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
