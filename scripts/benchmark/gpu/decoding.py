"""JPEG pictures decoded on the GPU (`data.decode=gpu`): far from the processor's? How fast? Safe beside an update?"""

import statistics

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.io import encode_jpeg

from mmpt.pretrain.jpeg_pictures import CLIPS_AT_ONCE, JpegBatch, JpegPictures, decode_clips, require_decoder
from mmpt.pretrain.pictures import Crop
from mmpt.scripts.benchmark.gpu.check import Check, NotHere
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.scripts.benchmark.timing import alternate
from mmpt.upstream.errors import InputError

CLIPS, SMALL_CLIPS = 128, 2
PICTURES, HEIGHT, WIDTH, SIZE = 16, 256, 340, 224  # of a clip; in pixels
PRODUCTS, SIDE = 20, 8192  # of an update: most of a second


def measure(part: str, check: Check) -> Figures:
    """Return how the pixels differ, the clips a second of both, and whether a busy GPU decodes the same pixels."""
    if check.device.type == "cuda":
        try:
            require_decoder(check.device)
        except InputError as error:
            raise NotHere(str(error)) from None
    batch = smooth_pictures(SMALL_CLIPS if check.small else CLIPS)
    cpu = torch.device("cpu")
    ours = decoded(batch, check.device)
    difference = (ours.cpu().float() - decoded(batch, cpu).float()).abs()
    queue_update(check.device, SIDE // 64 if check.small else SIDE)
    beside = decoded(batch, check.device)
    calls = {"gpu": lambda: decoded(batch, check.device), "cpu": lambda: decoded(batch, cpu)}
    times = alternate(calls, check.rounds(), check.device, warm_up=1)
    return {
        "clips": len(batch.clips),
        "mean_difference": difference.mean().item(),  # of 255 shades
        "largest_difference": difference.max().item(),
        "same_pixels_beside_an_update": torch.equal(ours, beside),
        **{f"{name}_clips_per_s": len(batch.clips) / statistics.median(each) for name, each in times.items()},
        "rounds": len(times["gpu"]),
    }


def smooth_pictures(clips: int) -> JpegBatch:
    """Return the files of clips whose pictures have colours that change slowly, and a random crop each."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for _ in range(clips):
        seeds = 255 * torch.rand(PICTURES, 3, HEIGHT // 16, WIDTH // 16, generator=generator)
        pictures = interpolate(seeds, (HEIGHT, WIDTH), mode="bilinear").to(torch.uint8)
        crop = Crop.draw(HEIGHT, WIDTH, 0.5, generator)
        items.append(JpegPictures(encode_jpeg(list(pictures), quality=85), (HEIGHT, WIDTH), crop))
    return JpegBatch.join(items)


def decoded(batch: JpegBatch, device: torch.device) -> Tensor:
    """Return the pictures (clips, frames, size, size, 3)."""
    return torch.stack([one for one in decode_clips(batch, device, HEIGHT, SIZE) if isinstance(one, Tensor)])


def queue_update(device: torch.device, side: int) -> None:
    """Queue work that writes to tensors which are free again when this returns, as a trainer does that runs ahead.

    A decoder that got their memory before the work is done would lose its pixels.
    """
    product = torch.randn(side, side, device=device)
    for _ in range(PRODUCTS):
        product = product @ product / side**0.5
    pieces = [product.flatten()[: HEIGHT * WIDTH * 3 // 4].clone() for _ in range(CLIPS_AT_ONCE * PICTURES)]
    pieces.clear()
