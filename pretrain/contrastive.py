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
