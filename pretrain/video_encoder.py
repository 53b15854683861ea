"""The video encoder: a Vision Transformer over tubelets (MAE-ST, Feichtenhofer et al. 2022, as the paper uses it)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.pretrain.settings import VideoSettings
from mmpt.pretrain.transformer import transformer
from mmpt.pretrain.tubelets import cut_tubelets, mean_tubelets, motion_of, normalise_pixels
from mmpt.upstream.mmpt_av.conformer import sinusoids
from mmpt.upstream.mmpt_av.linear import Linear
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


class AttentionPooling(nn.Module):
    """Attention pooling with one learned query, as in CoCa (Yu et al. 2022) and SigLIP (Zhai et al. 2023).

    It has no linear layers, because the one that embeds the tubelets comes right before it. The query starts at zero,
    which gives all tokens the same weight, so that training starts from their mean. It is a vector and gets no weight
    decay, which would pull it back there.
    """

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Parameter(torch.zeros(d_model))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, places, d_model) over places: (N, d_model)."""
        keys, values = (one.unflatten(2, (self.n_heads, -1)).transpose(1, 2) for one in (self.norm(x), x))
        query = self.query.view(self.n_heads, 1, -1).expand(len(x), -1, -1, -1)
        return F.scaled_dot_product_attention(query, keys, values).flatten(1)


class VideoEncoder(nn.Module):
    """Transformer blocks over the tubelets that masking leaves (`encode`), or over all, pooled in space (`pool`)."""

    checkpointing = False  # of blocks

    def __init__(self, settings: VideoSettings):
        super().__init__()
        self.settings = settings
        self.embedding = Linear(settings.pixels, settings.d_model)
        self.positions = VideoPositions(settings, settings.d_model)
        self.blocks = transformer(settings.d_model, settings.n_layers, settings.n_heads)
        self.norm = nn.LayerNorm(settings.d_model)
        self.pooling = AttentionPooling(settings.d_model, settings.n_heads) if settings.pool == "attention" else None

    def encode(self, tubelets: Tensor, ids: Tensor) -> Tensor:
        """Return states (B, K, d_model) of some tubelets.

        Args:
            tubelets: (B, K, pixels) in 0 … 255.
            ids: (B, K) of them among all tubelets of a clip.
        """
        # Not `positions()[ids]` or `index_select`: the gradient of a position, which all clips share, would add up in a
        # random order on several threads, or on a GPU one by one. This sorts the ids, and then adds in their order.
        return self.run(self.embed(tubelets) + F.embedding(ids, self.positions()))

    def pool(self, video: Tensor) -> Tensor:
        """Return one embedding (B, d_model) of each clip for contrastive learning.

        Tubelets are pooled over space, encoded, and averaged over time.

        Args:
            video: (B, 3, frames, size, size) in 0 … 255, or what mean_tubelets makes of it if the mean is to pool them.
        """
        times = self.pool_by_mean(video) if self.pooling is None else self.pool_by_attention(video, self.pooling)
        return self.run(times + self.positions.time).mean(1)

    def pool_by_mean(self, video: Tensor) -> Tensor:
        """Return the mean of embedded tubelets over space, (B, times, d_model).

        The mean is taken of pixels: as the embedding is linear, this equals the mean of embeddings at a fraction of the
        cost.
        """
        means = video if video.dim() == 3 else mean_tubelets(video, self.settings)
        return self.embed(self.contrasted(means)) + self.positions.space.mean(0)

    def pool_by_attention(self, video: Tensor, pooling: AttentionPooling) -> Tensor:
        """Return what attention makes of embedded tubelets over space, (B, times, d_model)."""
        tubelets = cut_tubelets(video, self.settings).unflatten(1, (self.settings.times, self.settings.places))
        x = self.embed(self.contrasted(tubelets)) + self.positions.space
        return pooling(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def contrasted(self, tubelets: Tensor) -> Tensor:
        """Return what contrastive learning sees of tubelets (B, times, ..., pixels): the settings' video.contrast."""
        return motion_of(tubelets.float(), self.settings) if self.settings.contrast == "motion" else tubelets

    def embed(self, tubelets: Tensor) -> Tensor:
        """Embed tubelets (..., pixels) in 0 … 255: (..., d_model), without positions."""
        return self.embedding(normalise_pixels(tubelets).to(self.positions.time.dtype))

    def run(self, x: Tensor) -> Tensor:
        """Run the blocks and the last norm over (B, T, d_model)."""
        for block in self.blocks:
            x = run_block(block, x, checkpointing=self.checkpointing)
        return self.norm(x)
