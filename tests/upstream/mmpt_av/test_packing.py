"""Packed batches, compared with plain loops over utterances."""

import math

import pytest
import torch
from torch.nn import functional as F

from mmpt.upstream.mmpt_av.packing import Packing

LENGTHS = [[1], [5], [3, 3, 3], [1, 4, 2], [6, 1, 1, 3], [1, 1, 2]]
CPU = torch.device("cpu")


def utterances(lengths: list[int], channels: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(len(lengths))
    return [torch.randn(n, channels, generator=generator) for n in lengths]


def padded(items: list[torch.Tensor], fill: float) -> torch.Tensor:
    longest = max(len(item) for item in items)
    return torch.stack([F.pad(item, (0, 0, 0, longest - len(item)), value=fill) for item in items])


@pytest.mark.parametrize("lengths", LENGTHS)
def test_pack_leaves_the_padding_out(lengths):
    items = utterances(lengths)
    assert torch.equal(Packing(lengths, CPU).pack(padded(items, fill=float("nan"))), torch.cat(items))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_unpack_pads_with_zeros(lengths):
    items = utterances(lengths)
    assert torch.equal(Packing(lengths, CPU).unpack(torch.cat(items)), padded(items, fill=0.0))


@pytest.mark.parametrize("gap", [0, 1, 7])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_rows_are_spread_over_gaps(lengths, gap):
    items = utterances(lengths)
    spread, rows = Packing(lengths, CPU).places().spread(torch.cat(items), gap)
    assert torch.equal(spread, torch.cat([F.pad(item, (0, 0, 0, gap)) for item in items]))
    assert torch.equal(spread[rows], torch.cat(items))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_convolution_over_the_gaps_never_meets_a_neighbour(lengths):
    items = utterances(lengths)
    weight = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(2))
    spread, rows = Packing(lengths, CPU).places().spread(torch.cat(items), 3)
    together = F.conv1d(spread.T[None], weight, padding=3)[0].T[rows]
    alone = torch.cat([F.conv1d(item.T[None], weight, padding=3)[0].T for item in items])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_spaced_utterances_have_room_for_their_states_and_one_more(lengths, factor):
    packing, places, taken, inside = Packing(lengths, CPU), 0, [], []
    for length in lengths:
        taken += range(places, places + length)
        inside += range(length)
        places += factor * (math.ceil(length / factor) + 1)
    assert packing.spaced(factor).tolist() == taken
    assert packing.blank(factor).tolist() == [place not in taken for place in range(places)]
    assert packing.within().tolist() == inside


def test_gradients_reach_valid_frames_only():
    packing = Packing([1, 4, 2], CPU)
    batch = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    spread, rows = packing.places().spread(packing.pack(batch), 2)
    spread.index_select(0, rows).sum().backward()
    assert torch.equal(batch.grad, padded([torch.ones(n, 3) for n in (1, 4, 2)], fill=0.0))
