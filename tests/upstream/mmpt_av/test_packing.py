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
def test_gather_reverses_spread(lengths, gap):
    items = utterances(lengths)
    places = Packing(lengths, CPU).places(gap)
    spread = places.spread(torch.cat(items), gap)
    assert torch.equal(spread, torch.cat([F.pad(item, (0, 0, 0, gap)) for item in items]))
    assert torch.equal(places.gather(spread), torch.cat(items))


def test_one_packing_serves_several_gaps():
    """Positions are cached for the next block: those of one gap must not be used for another."""
    items = utterances([2, 5, 1])
    packing = Packing([2, 5, 1], CPU)
    for gap in (1, 3, 1):
        places = packing.places(gap)
        assert torch.equal(places.gather(places.spread(torch.cat(items), gap)), torch.cat(items))
        assert places.spread(torch.cat(items), gap).shape == (8 + 3 * gap, 3)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_convolution_over_the_gaps_never_meets_a_neighbour(lengths):
    items = utterances(lengths)
    weight = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(2))
    places = Packing(lengths, CPU).places(3)
    together = places.gather(F.conv1d(places.spread(torch.cat(items), 3).T[None], weight, padding=3)[0].T)
    alone = torch.cat([F.conv1d(item.T[None], weight, padding=3)[0].T for item in items])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_strided_utterances_have_room_for_their_states_and_one_more(lengths, factor):
    packing, places, taken, inside = Packing(lengths, CPU), 0, [], []
    for length in lengths:
        taken += range(places, places + length)
        inside += range(length)
        places += factor * (math.ceil(length / factor) + 1)
    assert packing.strided(factor).tolist() == taken
    assert packing.empty(factor).tolist() == [place not in taken for place in range(places)]
    assert packing.within().tolist() == inside


def test_gradients_reach_valid_frames_only():
    packing = Packing([1, 4, 2], CPU)
    batch = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    places = packing.places(2)
    places.gather(places.spread(packing.pack(batch), 2)).sum().backward()
    assert torch.equal(batch.grad, padded([torch.ones(n, 3) for n in (1, 4, 2)], fill=0.0))
