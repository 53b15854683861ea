"""Retrieval among held-out clips: which picture belongs to a sound, and which sound to a picture."""

from collections import defaultdict

import torch
from torch import Tensor

from mmpt.pretrain.figures import Figure, HeldOutClip

FEWEST_IN_A_GROUP = 20  # clips, for figures of the first 1, 5 and 10 ranks


def retrieval(similarity: Tensor, clips: list[HeldOutClip]) -> dict[str, Figure]:
    """Return how well a clip's other half is found.

    - `r1`, `r5`, `r10`: how often it is among the 1, 5 and 10 most similar ones.
    - `pairwise`: how often it is more similar than another clip's; the mean over all other clips.

    Names begin with the direction, `audio_to_video_` or `video_to_audio_`. Those that begin with `within_` compare the
    clips of a group alone: `r` figures in groups of 20 clips or more, `pairwise` in groups of two or more.

    Args:
        similarity: (N, N); rows are sounds, columns are pictures, and the diagonal belongs together.
        clips: (N,).
    """
    groups = defaultdict(list)
    for number, clip in enumerate(clips):
        groups[clip.group].append(number)
    everything = [list(range(len(clips)))]
    figures: dict[str, Figure] = {}
    for prefix, sets in (("", everything), ("within_", [groups[name] for name in sorted(groups)])):
        large = sets if not prefix else [members for members in sets if len(members) >= FEWEST_IN_A_GROUP]
        for direction, matrix in (("audio_to_video", similarity), ("video_to_audio", similarity.T)):
            figures |= first_ranks(f"{prefix}{direction}", matrix, large, clips)
            figures |= pairwise(f"{prefix}{direction}", matrix, [some for some in sets if len(some) > 1], clips)
    return figures


def first_ranks(name: str, similarity: Tensor, sets: list[list[int]], clips: list[HeldOutClip]) -> dict[str, Figure]:
    """Return how often the own half is among the 1, 5 and 10 most similar ones of a set; nothing without sets."""
    if not sets:
        return {}
    ranks = torch.cat([rank_of_own(similarity[some][:, some]) for some in sets])
    compared = [clips[i] for some in sets for i in some]
    figures = {}
    for k in (1, 5, 10):
        chance = sum(min(k, len(some)) for some in sets) / len(compared)
        figures[f"{name}_r{k}"] = Figure(compared, (ranks < k).double().numpy(), chance=chance)
    return figures


def pairwise(name: str, similarity: Tensor, sets: list[list[int]], clips: list[HeldOutClip]) -> dict[str, Figure]:
    """Return how often the own half is more similar than another one of its set; nothing without sets."""
    if not sets:
        return {}
    shares = torch.cat([1 - rank_of_own(similarity[some][:, some]) / (len(some) - 1) for some in sets])
    compared = [clips[i] for some in sets for i in some]
    return {f"{name}_pairwise": Figure(compared, shares.double().numpy(), chance=0.5)}


def rank_of_own(similarity: Tensor) -> Tensor:
    """Return how many others do not score lower than the own one, (N,): ties and NaN count against it."""
    own = similarity.diagonal()[:, None]
    return (similarity < own).logical_not().sum(1) - 1
