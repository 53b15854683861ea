"""The video encoder: a Vision Transformer over tubelets (MAE-ST, Feichtenhofer et al. 2022, as the paper uses it)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpt.pretrain.settings import require
from mmpt.upstream.mmpt_av.conformer import sinusoids


@dataclass(frozen=True)
class VideoSettings:
    """Sizes; defaults are ViT-B on 16 pictures of 224 pixels with tubelets of 2 x 16 x 16."""

    size: int = 224
    frames: int = 16
    stride: int = 4
    crop_min: float = 0.5
    patch: int = 16
    tubelet: int = 2
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12

    def __post_init__(self):
        numbers = (self.size, self.frames, self.stride, self.patch, self.tubelet, self.d_model, self.n_layers, self.n_heads)
        require(min(numbers) >= 1, "video.size, frames, stride, patch, tubelet, d_model, n_layers and n_heads must be at least 1")
        require(self.size % self.patch == 0, f"video.size ({self.size}) must be a multiple of video.patch ({self.patch})")
        require(self.frames % self.tubelet == 0, f"video.frames ({self.frames}) must be a multiple of video.tubelet ({self.tubelet})")
        require(self.d_model % self.n_heads == 0, f"video.d_model ({self.d_model}) must be a multiple of video.n_heads ({self.n_heads})")
        require(0 < self.crop_min <= 1, f"video.crop_min must lie in (0, 1], got {self.crop_min}")


class VideoEncoder(nn.Module):
    """Pictures to one embedding, the contrastive way: tubelets, their mean over space for each tubelet time, Transformer
    blocks over time, mean over time."""

    def __init__(self, settings: VideoSettings):
        super().__init__()
        d_model = settings.d_model
        times, places = settings.frames // settings.tubelet, (settings.size // settings.patch) ** 2
        kernel = (settings.tubelet, settings.patch, settings.patch)
        self.tubelets = nn.Conv3d(3, d_model, kernel, stride=kernel)
        self.time_positions = nn.Parameter(torch.empty(times, d_model))
        self.space_positions = nn.Parameter(torch.empty(places, d_model))
        with torch.no_grad():  # learned, but from sinusoids: out of ViT's usual faint noise it takes long to tell times apart
            self.time_positions.copy_(0.5 * sinusoids(times, d_model, self.time_positions.device))
        nn.init.trunc_normal_(self.space_positions, std=0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(d_model, settings.n_heads, 4 * d_model, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(settings.n_layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, video: Tensor) -> Tensor:
        """video: (B, 3, frames, size, size) uint8. Returns (B, d_model)."""
        x = self.tubelets(video.float() / 127.5 - 1.0).flatten(3) + self.space_positions.T[:, None]  # (B, d_model, times, places)
        x = x.mean(3).transpose(1, 2) + self.time_positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x).mean(1)
