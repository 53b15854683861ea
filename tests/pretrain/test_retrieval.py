"""Retrieval figures, against slow, obvious references."""

import pytest
import torch

from mmpt.pretrain.figures import HeldOutClip
from mmpt.pretrain.retrieval import rank_of_own, retrieval


def held_out(groups):
    """Return a clip for each group named."""
    return [HeldOutClip(group, f"{group}{number}", group) for number, group in enumerate(groups)]


def test_retrieval_counts_what_a_person_would_count():
    torch.manual_seed(1)
    clips = held_out(["a"] * 30 + ["b"] * 25 + ["c"] * 3)
    similarity = torch.randn(58, 58) + 1.5 * torch.eye(58)
    figures = {name: figure.value for name, figure in retrieval(similarity, clips).items()}
    for k in (1, 5, 10):
        hits = sum(i in similarity[i].argsort(descending=True)[:k].tolist() for i in range(58)) / 58
        assert figures[f"audio_to_video_r{k}"] == pytest.approx(hits)
        hits = sum(i in similarity[:, i].argsort(descending=True)[:k].tolist() for i in range(58)) / 58
        assert figures[f"video_to_audio_r{k}"] == pytest.approx(hits)
    inside = sum(similarity[i, :30].argmax().item() == i for i in range(30)) + sum(
        similarity[i, 30:55].argmax().item() + 30 == i for i in range(30, 55)
    )
    assert figures["within_audio_to_video_r1"] == pytest.approx(inside / 55)
    sizes = {0: (0, 30), 30: (30, 55), 55: (55, 58)}
    beaten = [
        sum(similarity[i, i] > similarity[i, j] for j in range(first, last) if j != i).item() / (last - first - 1)
        for first, last in sizes.values()
        for i in range(first, last)
    ]
    assert figures["within_audio_to_video_pairwise"] == pytest.approx(sum(beaten) / 58)


def test_chance_is_what_random_similarities_get():
    """Groups of one clip compare nothing; those under 20 clips give no rank figures."""
    torch.manual_seed(2)
    clips = held_out(["a"] * 30 + ["b"] * 24 + ["c"] * 3 + ["d"])
    runs = [retrieval(torch.randn(58, 58), clips) for _ in range(200)]
    for name, figure in runs[0].items():
        assert figure.chance == pytest.approx(sum(run[name].value for run in runs) / 200, abs=0.015), name
    numbers = {name: len(figure.clips) for name, figure in runs[0].items()}
    assert numbers["within_video_to_audio_r5"] == 54 and numbers["within_video_to_audio_pairwise"] == 57
    assert numbers["video_to_audio_r5"] == numbers["video_to_audio_pairwise"] == 58


def test_ties_are_no_success():
    assert rank_of_own(torch.ones(3, 3)).tolist() == [2, 2, 2]


def test_what_is_not_a_number_is_not_found():
    similarity = torch.eye(3)
    similarity[0, 0] = similarity[1, 2] = torch.nan
    assert rank_of_own(similarity).tolist() == [2, 1, 0]
    figures = retrieval(torch.full((3, 3), torch.nan), held_out(["a"] * 3))
    assert figures["audio_to_video_r1"].value == figures["within_audio_to_video_pairwise"].value == 0
