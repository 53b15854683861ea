"""The stand-ins for packages that S3PRL imports: equal to these, and out of the way where they are installed."""

import importlib
import random
import sys
from importlib.machinery import PathFinder

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from mmpt.upstream.s3prl_runner import repairs
from mmpt.upstream.s3prl_runner.stand_ins import editdistance
from mmpt.upstream.s3prl_runner.stand_ins.catalyst.data.sampler import DistributedSamplerWrapper

from helpers.slow_scores import edits

HERE = str(repairs.STAND_INS)
# What catalyst 22.4 draws: (processes, rank, epoch, shuffle) → indices. Seed 5, weights 1 to 7, 7 draws.
OF_CATALYST = {
    (1, 0, 0, True): [3, 5, 6, 3, 4, 5, 3],
    (2, 0, 0, True): [3, 6, 4, 3],
    (2, 1, 0, True): [5, 3, 5, 3],
    (2, 1, 1, True): [5, 3, 4, 5],
    (3, 2, 0, True): [6, 5, 5],
    (2, 0, 0, False): [5, 4, 3, 5],
    (2, 1, 0, False): [3, 3, 6, 5],
}


def draw(wrapper: type, processes: int, rank: int, epoch: int, shuffle: bool) -> list[int]:
    """Return one epoch's indices of one process."""
    weights = torch.arange(1.0, 8.0)
    sampler = WeightedRandomSampler(weights, len(weights), generator=torch.Generator().manual_seed(5))
    shares = wrapper(sampler, num_replicas=processes, rank=rank, shuffle=shuffle)
    shares.set_epoch(epoch)
    return list(shares)


@pytest.mark.parametrize("case", OF_CATALYST, ids=str)
def test_draws_are_those_of_catalyst(case):
    assert draw(DistributedSamplerWrapper, *case) == OF_CATALYST[case]


def test_processes_share_one_draw_and_leave_nothing_out():
    sampler = WeightedRandomSampler(torch.ones(10), 10, generator=torch.Generator().manual_seed(1))
    start = sampler.generator.get_state()
    drawn = list(sampler)
    shares = []
    for rank in range(2):
        sampler.generator.set_state(start)
        shares += list(DistributedSamplerWrapper(sampler, num_replicas=2, rank=rank))
    assert sorted(shares) == sorted(drawn)


def test_a_loader_takes_the_sampler_as_keyword_spotting_gives_it():
    data = TensorDataset(torch.arange(8))
    sampler = DistributedSamplerWrapper(WeightedRandomSampler(torch.ones(8), 8), num_replicas=2, rank=1)
    loader = DataLoader(data, batch_size=2, sampler=sampler, drop_last=True)
    first, second = (torch.cat([batch for (batch,) in loader]).tolist() for _ in range(2))
    assert len(loader) == 2 and len(first) == len(second) == 4
    assert DistributedSamplerWrapper(range(1), num_replicas=1, rank=0).__iter__().__next__() == 0  # catalyst fails


def test_edits_are_the_least_number_of_changes():
    generator = random.Random(0)
    for alphabet in ("abc", ["AH0", "B", "a word", ""], [0, 1, 2]):
        for _ in range(60):
            left, right = (generator.choices(alphabet, k=generator.randrange(9)) for _ in range(2))
            assert editdistance.eval(left, right) == edits(left, right)
    assert editdistance.eval("kitten", "sitting") == 3 and editdistance.eval([], "") == 0


@pytest.mark.parametrize("installed", [True, False])
def test_stand_ins_are_on_the_path_only_if_a_package_is_missing(monkeypatch, installed):
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != HERE])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    repairs.repair_missing_packages()
    repairs.repair_missing_packages()
    assert sys.path.count(HERE) == (not installed) and HERE not in sys.path[:-1]


def test_an_installed_package_wins_wherever_it_lies(tmp_path):
    (tmp_path / "catalyst").mkdir()
    installed = tmp_path / "catalyst" / "__init__.py"
    installed.touch()
    for path in ([HERE, str(tmp_path)], [str(tmp_path), HERE]):
        assert PathFinder.find_spec("catalyst", path).origin == str(installed)
