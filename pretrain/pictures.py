"""JPEG pictures decoded and resized, as bytes from beginning to end.

Importing torchvision takes a second by itself, and 0.1 s in a training: an optimiser imports most of it anyway.
"""

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
    scale = min(1.0, short_side / min(picture.shape[1:]))
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in picture.shape[1:])
        picture = resized(picture[None], height, width)[0]
    return picture.permute(1, 2, 0).numpy()


def resized(pictures: Tensor, height: int, width: int) -> Tensor:
    """Return pictures (N, 3, H, W) uint8 in another size, in the memory layout that they have.

    By torch, not torchvision. Version 0.26 of torchvision calls this very function, with the same bits, and takes 1.0
    to 1.06 times as long for 16 pictures of 224 pixels and 1.1 to 1.14 times for 32 pixels. Version 0.23, the oldest
    supported one, converts to floats on processors with AVX-512. On that path, version 0.26 took 15.1 ms instead of 2.1
    ms for 16 pictures of 224 pixels.
    """
    return F.interpolate(pictures, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
