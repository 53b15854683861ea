"""The masked objective (MAE): which tokens are hidden, the decoder that both modalities share, and the errors of what it
reconstructs (He et al. 2022; for video Feichtenhofer et al. 2022).
"""

import math
import zlib
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor, nn

from mmpt.pretrain.settings import MaskedSettings, VideoSettings
from mmpt.pretrain.video import VideoPositions, transformer
from mmpt.upstream.mmpt_av.config import HOP_SAMPLES
from mmpt.upstream.mmpt_av.conformer import sinusoids
from mmpt.upstream.mmpt_av.filterbank import speech_frames

FRAMES_A_TOKEN = 4  # of filterbank under one state of the audio encoder


@dataclass
class Masks:
    """What a batch's encoders see and what is to be reconstructed, as indices: worked out beside the data, so that no GPU waits.

    Audio tokens are counted packed (clip after clip, see Packing), or in cells of the padded batch (clip * longest + token).
    """

    audio_lengths: list[int]  # tokens of each clip
    audio_seen_lengths: list[int]  # of them encoded
    audio_seen: Tensor  # (sum of these,) packed ids of the encoded tokens
    audio_seen_cells: Tensor  # the same tokens, padded
    audio_hidden: Tensor  # packed ids of the masked tokens
    audio_wanted: Tensor  # (W,) ids of the frames to reconstruct in the padded batch, clip * 4 * longest + frame
    video_seen: Tensor  # (B, K) ids of the encoded tubelets
    video_hidden: Tensor  # (B, M) ids of the others
    video_wanted: int  # tubelets to reconstruct

    def to(self, device: torch.device) -> "Masks":
        """The same on a device."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Masks":
        """The same in memory that a GPU can copy from on its own."""
        return self.each(Tensor.pin_memory)

    def each(self, change) -> "Masks":
        return replace(self, **{name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)})


def draw_order(seed: int, epoch: int | None, clip_id: str, what: str, tokens: int) -> Tensor:
    """A random order (tokens,) of a clip's tokens, by name: the same draw on any number of ranks and workers, and after a
    resume. Validation (epoch None) draws the same each time.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{epoch}/{clip_id}/{what}".encode()))
    return torch.rand(tokens, generator=generator).argsort()


def kept_tokens(tokens: int, share: float) -> int:
    """Tokens that are not masked, at least one: rounded down, as MAE does."""
    return max(1, int(tokens * (1 - share) + 1e-9))


def draw_masks(
    settings: MaskedSettings, seed: int, epoch: int | None, ids: list[str], samples: list[int], video_tokens: int
) -> Masks:
    """Random masks without replacement, drawn by (seed, epoch, clip id).

    Args:
        ids, samples: of the batch's clips: names, and samples of sound. video_tokens: tubelets of a clip.
    """
    lengths = [math.ceil(n / HOP_SAMPLES) for n in samples]
    longest, starts = max(lengths), [0, *accumulate(lengths)]
    seen, hidden, cells, wanted = [], [], [], []
    for number, (clip_id, tokens) in enumerate(zip(ids, lengths)):
        order = draw_order(seed, epoch, clip_id, "audio", tokens)
        kept = kept_tokens(tokens, settings.audio_share)
        masked = order[kept:].sort().values
        encoded = order[:kept].sort().values if settings.audio_mask == "drop" else torch.arange(tokens)
        seen.append(starts[number] + encoded)
        hidden.append(starts[number] + masked)
        cells.append(number * longest + encoded)
        frames = wanted_frames(masked if settings.loss_on == "masked" else torch.arange(tokens), samples[number])
        wanted.append(number * FRAMES_A_TOKEN * longest + frames)
    orders = torch.stack([draw_order(seed, epoch, clip_id, "video", video_tokens) for clip_id in ids])
    kept = kept_tokens(video_tokens, settings.video_share)
    return Masks(
        lengths,
        [len(one) for one in seen],
        torch.cat(seen),
        torch.cat(cells),
        torch.cat(hidden),
        torch.cat(wanted),
        orders[:, :kept].sort(1).values,
        orders[:, kept:].sort(1).values,
        len(ids) * (video_tokens if settings.loss_on == "all" else video_tokens - kept),
    )


def wanted_frames(tokens: Tensor, samples: int) -> Tensor:
    """The filterbank frames under some of a clip's tokens, without those that only pad the last one."""
    frames = (tokens[:, None] * FRAMES_A_TOKEN + torch.arange(FRAMES_A_TOKEN)).flatten()
    return frames[frames < speech_frames(samples)]


class SharedDecoder(nn.Module):
    """A plain Vision Transformer that fills the masked places in, of sound and of pictures in turn.

    Shared are its blocks; each modality enters by a linear layer, with a mask token and positions of its own, and leaves by another.
    """

    def __init__(self, settings: MaskedSettings, video: VideoSettings, d_audio: int, n_mels: int):
        super().__init__()
        width = settings.decoder_width
        self.audio_in, self.video_in = nn.Linear(d_audio, width), nn.Linear(video.d_model, width)
        # Zeroed tokens are encoded with the rest: there is no place to fill in, and no parameter without a gradient.
        self.audio_token = nn.Parameter(torch.zeros(width)) if settings.audio_mask == "drop" else None
        self.video_token = nn.Parameter(torch.zeros(width))
        self.video_positions = VideoPositions(video, width)
        self.blocks = transformer(width, settings.decoder_layers, settings.decoder_heads)
        self.norm = nn.LayerNorm(width)
        self.audio_out, self.video_out = nn.Linear(width, FRAMES_A_TOKEN * n_mels), nn.Linear(width, video.pixels)
        for token in (self.audio_token, self.video_token):
            if token is not None:
                nn.init.normal_(token, std=0.02)
        attend_to_neighbours(self.blocks)

    def audio(self, states: Tensor, masks: Masks) -> Tensor:
        """Reconstructed features (B, 4 * longest, n_mels), meaningless past a clip's end.

        Args:
            states: the encoder's of the seen tokens, packed (sum of audio_seen_lengths, d_audio).
        """
        x = self.audio_in(states)
        clips, longest = len(masks.audio_lengths), max(masks.audio_lengths)
        blank = x.new_zeros(x.shape[1]) if self.audio_token is None else self.audio_token.to(x.dtype)
        full = blank.expand(clips * longest, -1).index_copy(0, masks.audio_seen_cells, x).unflatten(0, (clips, longest))
        full = full + sinusoids(
            longest, x.shape[1], x.device
        )  # float32: what the blocks add up stays in full precision
        pad_mask = None
        if min(masks.audio_lengths) < longest:
            pad_mask = (
                torch.arange(longest, device=x.device) >= torch.tensor(masks.audio_lengths, device=x.device)[:, None]
            )
        return self.audio_out(self.run(full, pad_mask)).unflatten(2, (FRAMES_A_TOKEN, -1)).flatten(1, 2)

    def video(self, states: Tensor, masks: Masks, loss_on: str) -> Tensor:
        """Reconstructed tubelets: the hidden ones (B, M, pixels), or all (B, tokens, pixels).

        Args:
            states: (B, K, d_video) of the seen tubelets.
        """
        x = self.video_in(states)
        positions = self.video_positions()
        full = self.video_token.to(x.dtype).expand(len(x), len(positions), -1)
        full = full.scatter(1, masks.video_seen[..., None].expand(-1, -1, x.shape[-1]), x)
        full = self.run(full + positions, None)
        if loss_on == "masked":
            full = pick_tokens(full, masks.video_hidden)
        return self.video_out(full)

    def run(self, x: Tensor, pad_mask: Tensor | None) -> Tensor:
        """The blocks over (B, T, width), with the last norm."""
        for block in self.blocks:
            x = block(x, src_key_padding_mask=pad_mask)
        return self.norm(x)


@torch.no_grad()
def attend_to_neighbours(blocks: nn.ModuleList) -> None:
    """Has queries and keys begin near the identity (mimetic initialisation, Trockman & Kolter 2023): attention then starts between
    tokens that are alike, which positions make of neighbours, and need not find out first that they matter.
    """
    for block in blocks:
        for weight in block.self_attn.in_proj_weight.chunk(3)[:2]:  # of queries and keys, not of values
            weight.mul_(0.3).add_(0.8 * torch.eye(len(weight)))


def pick_tokens(x: Tensor, ids: Tensor) -> Tensor:
    """(B, N, C) and (B, K) to (B, K, C)."""
    return x.gather(1, ids[..., None].expand(-1, -1, x.shape[-1]))


def normalise_tubelets(tubelets: Tensor) -> Tensor:
    """Each tubelet (..., pixels) by its own mean and variance, as MAE's normalised targets."""
    variance, mean = torch.var_mean(tubelets, dim=-1, keepdim=True)
    return (tubelets - mean) / (variance + 1e-6).sqrt()
