"""The contrastive objective (CLR): which sound belongs to which picture."""

import math

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.training.distributed import Counts
from mmpt.upstream.mmpt_av.gather import gather_rows

MAX_SCALE = 100.0  # CLIP's bound on 1 / temperature


class InfoNCE(nn.Module):
    """Symmetric InfoNCE with a learned temperature (Radford et al. 2021).

    The loss is the mean of two cross entropies: of each sound against all pictures of the batch, and of each picture
    against all sounds.
    """

    def __init__(self, temperature: float = 0.07, learned: bool = True):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)), requires_grad=learned)

    @property
    def temperature(self) -> Tensor:
        """The current temperature, a scalar without gradient."""
        return (-self.log_scale.detach().clamp(max=math.log(MAX_SCALE))).exp()

    def forward(self, audio: Tensor, video: Tensor, counts: Counts) -> Tensor:
        """Return the loss, a scalar: this rank's part of the mean over all clips of the update (see Counts.scale).

        Each clip is compared with the clips of all ranks, which are gathered with gradient. A rank computes the rows
        and columns of its own clips.

        Args:
            audio: (B, C) unit vectors of sounds, float32 or wider.
            video: (B, C) unit vectors of pictures; row i is from the same clip as row i of `audio`.
            counts: of this update, with `clips`.
        """
        with torch.no_grad():  # in place: outside a clamp the gradient is zero, and the parameter would stay
            self.log_scale.clamp_(max=math.log(MAX_SCALE))
        sizes = counts.of("clips")
        first = sum(sizes[: dist.get_rank()]) if len(sizes) > 1 else 0
        own = torch.arange(first, first + len(audio), device=audio.device)
        with torch.autocast(audio.device.type, enabled=False):  # in half precision near values would tie
            scale = self.log_scale.exp()
            by_audio = audio @ gather_rows(video, sizes).T * scale
            by_video = video @ gather_rows(audio, sizes).T * scale
        total = F.cross_entropy(by_audio, own, reduction="sum") + F.cross_entropy(by_video, own, reduction="sum")
        return total / 2 * counts.scale("clips")


def retrieval(similarity: Tensor, groups: list[str]) -> dict[str, float]:
    """Return retrieval figures: how often a clip's other half is among the 1, 5 and 10 most similar ones.

    Args:
        similarity: (N, N); rows are sounds, columns are pictures, and the diagonal belongs together.
        groups: of each clip. `within` figures compare inside groups and leave out those of fewer than 20 clips.

    Returns:
        Shares in [0, 1] by name, `audio_to_video_r1` …, `within_audio_to_video_r1` …, and the chance levels
        `chance_r1` and `within_chance_r1`.
    """
    everything = torch.arange(len(groups))
    members = [torch.tensor([i for i, g in enumerate(groups) if g == name]) for name in sorted(set(groups))]
    figures: dict[str, float] = {}
    for prefix, sets in (("", [everything]), ("within_", [m for m in members if len(m) >= 20])):
        clips = sum(len(m) for m in sets)
        if not clips:
            continue
        for name, matrix in (("audio_to_video", similarity), ("video_to_audio", similarity.T)):
            ranks = torch.cat([rank_of_own(matrix[m][:, m]) for m in sets])
            figures |= {f"{prefix}{name}_r{k}": (ranks < k).float().mean().item() for k in (1, 5, 10)}
        figures[f"{prefix}chance_r1"] = len(sets) / clips
    return figures


def rank_of_own(similarity: Tensor) -> Tensor:
    """Return how many others do not score lower than the own one, (N,): ties and NaN count against it."""
    own = similarity.diagonal()[:, None]
    return (similarity < own).logical_not().sum(1) - 1
