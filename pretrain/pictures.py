"""JPEG pictures decoded, cropped and resized, as bytes from beginning to end.

Importing torchvision takes a second by itself, and 0.1 s in a training: an optimiser imports most of it anyway.
"""

from typing import NamedTuple

import numpy
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_jpeg


def decode_picture(jpeg: bytes, short_side: int) -> numpy.ndarray:
    """Return a JPEG picture (H, W, 3) uint8, scaled down to `short_side` pixels on the short side (never up).

    By torchvision (libjpeg-turbo). FFmpeg's decoder through PyAV takes as long: torchvision's time is 0.97 of it for
    training at 224 pixels, 1.0 to 1.04 at 112 and 1.05 to 1.1 at 32 (scripts/benchmark/picture_libraries.py).
    """
    picture = decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), ImageReadMode.RGB)
    return scaled_down(picture[None], short_side)[0].permute(1, 2, 0).numpy()


def scaled_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return height and width, scaled down to `short_side` pixels on the short side (never up)."""
    scale = min(1.0, short_side / min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def scaled_down(pictures: Tensor, short_side: int) -> Tensor:
    """Return pictures (N, 3, H, W) uint8, scaled down to `short_side` pixels on the short side (never up)."""
    _, _, height, width = pictures.shape
    size = scaled_size(height, width, short_side)
    return pictures if size == (height, width) else resized(pictures, *size)


class Crop(NamedTuple):
    """A square of a picture, in pixels, and whether left and right are exchanged."""

    top: int
    left: int
    side: int
    flip: bool

    @classmethod
    def draw(cls, height: int, width: int, crop_min: float, generator: torch.Generator | None) -> "Crop":
        """Draw a square and a flip; without a generator, return the largest centred square.

        Args:
            height, width: of the picture.
            crop_min: smallest share of the largest square's area that a square has.
            generator: gives four random numbers.
        """
        side = min(height, width)
        if generator is None:
            return cls((height - side) // 2, (width - side) // 2, side, flip=False)
        area, y, x, toss = torch.rand(4, generator=generator).tolist()
        side = max(1, round(side * (crop_min + (1 - crop_min) * area) ** 0.5))
        return cls(round(y * (height - side)), round(x * (width - side)), side, flip=toss < 0.5)

    def cut(self, picture: numpy.ndarray) -> numpy.ndarray:
        """Return the square (side, side, 3) of a picture (H, W, 3), as a view."""
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]

    def shown(self, squares: Tensor, size: int) -> Tensor:
        """Return squares (N, 3, side, side) as (N, size, size, 3) uint8, flipped if so drawn."""
        squares = resized(squares, size, size)
        return (squares.flip(-1) if self.flip else squares).permute(0, 2, 3, 1)


def resized(pictures: Tensor, height: int, width: int) -> Tensor:
    """Return pictures (N, 3, H, W) uint8 in another size, in the memory layout that they have.

    By torch, not torchvision. Version 0.26 of torchvision calls this very function, with the same bits, and takes 1.0
    to 1.06 times as long for 16 pictures of 224 pixels and 1.1 to 1.14 times for 32 pixels. Version 0.23, the oldest
    supported one, converts to floats on processors with AVX-512. On that path, version 0.26 took 15.1 ms instead of 2.1
    ms for 16 pictures of 224 pixels.

    GPUs resize in floats, which differs by one at most (of 255).
    """
    numbers = pictures if pictures.device.type == "cpu" else pictures.float()
    made = F.interpolate(numbers, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    return made if made.dtype == torch.uint8 else made.round_().clamp_(0, 255).to(torch.uint8)
