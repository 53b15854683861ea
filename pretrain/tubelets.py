"""Tubelets, the tokens of a clip's pictures: small blocks in space and time, cut, joined, normalised."""

import torch
from torch import Tensor

from mmpt.pretrain.settings import VideoSettings

PIXEL_MEAN, PIXEL_STD = 0.45, 0.225  # of pixels in [0, 1], as in MAE-ST: gives about unit variance


def cut_tubelets(video: Tensor, settings: VideoSettings) -> Tensor:
    """Cut pictures (B, 3, frames, size, size) of any dtype into tubelets (B, tokens, pixels), time by time."""
    t, p = settings.tubelet, settings.patch
    side = settings.size // p
    cut = video.reshape(len(video), 3, settings.times, t, side, p, side, p)
    return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(len(video), settings.tokens, settings.pixels)


def join_tubelets(tubelets: Tensor, settings: VideoSettings) -> Tensor:
    """Join normalised tubelets (B, tokens, pixels) to pictures (B, 3, frames, size, size) uint8."""
    t, p = settings.tubelet, settings.patch
    side = settings.size // p
    joined = tubelets.reshape(len(tubelets), settings.times, side, side, 3, t, p, p).permute(0, 4, 1, 5, 2, 6, 3, 7)
    joined = joined.reshape(len(tubelets), 3, settings.frames, settings.size, settings.size)
    return ((joined * PIXEL_STD + PIXEL_MEAN) * 255).round().clamp(0, 255).to(torch.uint8)


def mean_tubelets(video: Tensor, settings: VideoSettings) -> Tensor:
    """Return the mean of tubelets over space, (B, times, pixels) float32 in 0 … 255, without cutting all of them.

    Sums of bytes are exact in any order. On a processor, adding row by row, with channels last as pictures lie in
    memory, takes a tenth of the time of one sum over two dimensions: 4 ms, not 43, for a batch of the samples.
    """
    t, p = settings.tubelet, settings.patch
    side, width = settings.size // p, settings.size
    rows = video.permute(0, 2, 3, 4, 1).reshape(-1, side, p, width * 3)  # (B frames, side, p, width of 3 channels)
    row = rows[:, 0].float()
    for number in range(1, side):
        row += rows[:, number]
    places = row.view(-1, p, side, p * 3)
    sums = places[:, :, 0].clone()
    for number in range(1, side):
        sums += places[:, :, number]
    sums = sums.view(len(video), settings.times, t, p, p, 3).permute(0, 1, 5, 2, 3, 4)
    return sums.reshape(len(video), settings.times, settings.pixels) / settings.places


def motion_of(tubelets: Tensor, settings: VideoSettings) -> Tensor:
    """Return what changes in a clip, in 0 … 255 like the input: tubelets (B, times, ..., pixels), or means of them.

    Each place loses its mean over time, and the changes of a clip are scaled to the standard deviation of pixels.
    Looks, which never change, are removed; a still clip becomes grey.
    """
    cut = tubelets.unflatten(-1, (3, settings.tubelet, -1))
    change = cut - cut.mean((1, -2), keepdim=True)
    change = change / (change.square().mean(tuple(range(1, cut.dim())), keepdim=True) + 1e-3).sqrt()
    return ((change * PIXEL_STD + PIXEL_MEAN) * 255).flatten(-3)


def normalise_pixels(pixels: Tensor) -> Tensor:
    """Normalise pixels in 0 … 255 to about zero mean and unit variance, float32."""
    return (pixels.float() / 255 - PIXEL_MEAN) / PIXEL_STD


def normalise_tubelets(tubelets: Tensor) -> Tensor:
    """Normalise each tubelet (..., pixels) by its own mean and variance, as in MAE."""
    variance, mean = torch.var_mean(tubelets, dim=-1, keepdim=True)
    return (tubelets - mean) / (variance + 1e-6).sqrt()


def pick_tokens(x: Tensor, ids: Tensor) -> Tensor:
    """Pick tokens of (B, N, C) by ids (B, K): (B, K, C)."""
    return x.flatten(0, 1).index_select(0, rows_of(ids, x.shape[1])).unflatten(0, ids.shape)


def rows_of(ids: Tensor, tokens: int) -> Tensor:
    """Return the rows (B * K,) of tokens with ids (B, K) in a flattened batch (B * tokens, C).

    Whole rows are picked and placed several times as fast as by `gather` and `scatter`, which look up each number.
    """
    return (ids + tokens * torch.arange(len(ids), device=ids.device)[:, None]).flatten()
