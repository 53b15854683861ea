"""The video encoder: a Vision Transformer over tubelets (MAE-ST, Feichtenhofer et al. 2022, as the paper uses it)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.pretrain.settings import VideoSettings
from mmpt.pretrain.transformer import transformer
from mmpt.pretrain.tubelets import mean_tubelets, motion_of, normalise_pixels
from mmpt.upstream.mmpt_av.conformer import sinusoids
from mmpt.upstream.mmpt_av.recompute import run_block


class VideoPositions(nn.Module):
    """Learned positions of tubelets, one embedding for time and one for space (MAE-ST, section 3)."""

    def __init__(self, settings: VideoSettings, d_model: int):
        super().__init__()
        # Not from ViT's usual faint noise: from it a model takes long to tell times and places apart.
        self.time = nn.Parameter(0.5 * sinusoids(settings.times, d_model, torch.device("cpu")))
        self.space = nn.Parameter(0.5 * torch.randn(settings.places, d_model))

    def forward(self) -> Tensor:
        """Return positions (tokens, d_model), time by time."""
        return (self.time[:, None] + self.space).flatten(0, 1)


class VideoEncoder(nn.Module):
    """Transformer blocks over the tubelets that masking leaves (`encode`), or over their means in space (`pool`)."""

    checkpointing = False  # of blocks

    def __init__(self, settings: VideoSettings):
        super().__init__()
        self.settings = settings
        self.embedding = nn.Linear(settings.pixels, settings.d_model)
        self.positions = VideoPositions(settings, settings.d_model)
        self.blocks = transformer(settings.d_model, settings.n_layers, settings.n_heads)
        self.norm = nn.LayerNorm(settings.d_model)

    def encode(self, tubelets: Tensor, ids: Tensor) -> Tensor:
        """Return states (B, K, d_model) of some tubelets.

        Args:
            tubelets: (B, K, pixels) in 0 … 255.
            ids: (B, K) of them among all tubelets of a clip.
        """
        # Not `positions()[ids]`: on several threads its gradient adds up in a random order.
        return self.run(self.embed(tubelets) + F.embedding(ids, self.positions()))

    def pool(self, video: Tensor) -> Tensor:
        """Return one embedding (B, d_model) of each clip for contrastive learning.

        Tubelets are averaged over space, encoded, and averaged over time. The first mean is taken of pixels: as the
        embedding is linear, this equals the mean of embeddings at a fraction of the cost.

        Args:
            video: (B, 3, frames, size, size) in 0 … 255, or what mean_tubelets makes of it.
        """
        means = video if video.dim() == 3 else mean_tubelets(video, self.settings)
        if self.settings.contrast == "motion":
            means = motion_of(means, self.settings)
        return self.run(self.embed(means) + self.positions.time + self.positions.space.mean(0)).mean(1)

    def embed(self, tubelets: Tensor) -> Tensor:
        """Embed tubelets (..., pixels) in 0 … 255: (..., d_model), without positions."""
        return self.embedding(normalise_pixels(tubelets).to(self.embedding.weight.dtype))

    def run(self, x: Tensor) -> Tensor:
        """Run the blocks and the last norm over (B, T, d_model)."""
        for block in self.blocks:
            x = run_block(block, x, checkpointing=self.checkpointing)
        return self.norm(x)
