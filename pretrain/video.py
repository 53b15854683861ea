"""The video encoder: a Vision Transformer over tubelets (MAE-ST, Feichtenhofer et al. 2022, as the paper uses it)."""

import torch
from torch import Tensor, nn

from mmpt.pretrain.settings import VideoSettings
from mmpt.upstream.mmpt_av.conformer import sinusoids

PIXEL_MEAN, PIXEL_STD = 0.45, 0.225  # of [0, 1], MAE-ST's: inputs and targets of about unit variance


def cut_tubelets(video: Tensor, settings: VideoSettings) -> Tensor:
    """Pictures (B, 3, frames, size, size) to tubelets (B, tokens, pixels), time by time; of any kind of number."""
    t, p = settings.tubelet, settings.patch
    side = settings.size // p
    cut = video.reshape(len(video), 3, settings.times, t, side, p, side, p)
    return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(len(video), settings.tokens, settings.pixels)


def mean_tubelets(video: Tensor, settings: VideoSettings) -> Tensor:
    """The mean over space of `cut_tubelets`, (B, times, pixels) float32 in 0 … 255, without the copy of all of them."""
    t, p = settings.tubelet, settings.patch
    side = settings.size // p
    cut = video.reshape(len(video), 3, settings.times, t, side, p, side, p)
    sums = cut.sum((4, 6), dtype=torch.float32)  # (B, 3, times, t, p, p)
    return sums.transpose(1, 2).reshape(len(video), settings.times, settings.pixels) / settings.places


def normalise_pixels(pixels: Tensor) -> Tensor:
    """Pixels in 0 … 255 to about zero mean and unit variance, float32."""
    return (pixels.float() / 255 - PIXEL_MEAN) / PIXEL_STD


def motion_of(means: Tensor, settings: VideoSettings) -> Tensor:
    """What changes in a clip, (B, times, pixels) in 0 … 255 to the same: each place without its mean over time, and the clip's
    changes to the spread that pixels have. A look, which never changes, is gone; a still clip is grey.
    """
    cut = means.unflatten(2, (3, settings.tubelet, -1))
    change = cut - cut.mean((1, 3), keepdim=True)
    change = change / (change.square().mean((1, 2, 3, 4), keepdim=True) + 1e-3).sqrt()
    return ((change * PIXEL_STD + PIXEL_MEAN) * 255).flatten(2)


def join_tubelets(tubelets: Tensor, settings: VideoSettings) -> Tensor:
    """Normalised tubelets (B, tokens, pixels) back to pictures (B, 3, frames, size, size) uint8."""
    t, p = settings.tubelet, settings.patch
    side = settings.size // p
    joined = tubelets.reshape(len(tubelets), settings.times, side, side, 3, t, p, p).permute(0, 4, 1, 5, 2, 6, 3, 7)
    joined = joined.reshape(len(tubelets), 3, settings.frames, settings.size, settings.size)
    return ((joined * PIXEL_STD + PIXEL_MEAN) * 255).round().clamp(0, 255).to(torch.uint8)


def transformer(d_model: int, n_layers: int, n_heads: int) -> nn.ModuleList:
    """The blocks of a plain Vision Transformer (Dosovitskiy et al. 2021): (B, T, d_model) to the same."""
    return nn.ModuleList(
        nn.TransformerEncoderLayer(d_model, n_heads, 4 * d_model, 0.0, "gelu", batch_first=True, norm_first=True)
        for _ in range(n_layers)
    )


class VideoPositions(nn.Module):
    """Learned positions of tubelets, in time and in space apart (MAE-ST, section 3)."""

    def __init__(self, settings: VideoSettings, d_model: int):
        super().__init__()
        # Learned, but not from ViT's usual faint noise, out of which it takes long to tell times and places apart.
        self.time = nn.Parameter(0.5 * sinusoids(settings.times, d_model, torch.device("cpu")))
        self.space = nn.Parameter(0.5 * torch.randn(settings.places, d_model))

    def forward(self) -> Tensor:
        """(tokens, d_model), time by time."""
        return (self.time[:, None] + self.space).flatten(0, 1)


class VideoEncoder(nn.Module):
    """Transformer blocks over tubelets: over those that masking left (`encode`), or over their means in space (`pool`)."""

    def __init__(self, settings: VideoSettings):
        super().__init__()
        self.settings = settings
        self.embedding = nn.Linear(settings.pixels, settings.d_model)
        self.positions = VideoPositions(settings, settings.d_model)
        self.blocks = transformer(settings.d_model, settings.n_layers, settings.n_heads)
        self.norm = nn.LayerNorm(settings.d_model)

    def encode(self, tubelets: Tensor, ids: Tensor) -> Tensor:
        """States (B, K, d_model) of some tubelets: no others are embedded or encoded.

        Args:
            tubelets: (B, K, pixels) in 0 … 255. ids: (B, K) where they belong.
        """
        return self.run(self.embed(tubelets) + self.positions()[ids])

    def pool(self, video: Tensor) -> Tensor:
        """One embedding (B, d_model), the contrastive way: the mean over space for each tubelet time, blocks, mean over time.

        The mean is taken of the pixels: the embedding is linear, so it is the mean of the embeddings at a fraction of the cost.

        Args:
            video: (B, 3, frames, size, size) in 0 … 255.
        """
        means = mean_tubelets(video, self.settings)
        if self.settings.contrast == "motion":
            means = motion_of(means, self.settings)
        return self.run(self.embed(means) + self.positions.time + self.positions.space.mean(0)).mean(1)

    def embed(self, tubelets: Tensor) -> Tensor:
        """Tubelets (..., pixels) in 0 … 255 to (..., d_model), without positions."""
        return self.embedding(normalise_pixels(tubelets).to(self.embedding.weight.dtype))

    def run(self, x: Tensor) -> Tensor:
        """The blocks over (B, T, d_model), with the last norm."""
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
