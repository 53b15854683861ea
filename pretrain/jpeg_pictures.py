"""Pictures that workers send as JPEG files, and that the main process decodes on its GPU (`data.decode=gpu`).

A worker only reads the files and draws the crop; a clip then has a tenth of its bytes. What is decoded is cropped and
resized step by step as `ClipDataset` does it on processors. With device "cpu" the pixels are the same; a GPU's decoder
and its resizing round differently.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from mmpt.pretrain.pictures import Crop, scaled_down
from mmpt.upstream.errors import InputError

CLIPS_AT_ONCE = 32  # whose files are decoded in one call: 16 pictures of 340 x 256 of each take 130 MB as pixels


@dataclass(frozen=True)
class JpegPictures:
    """The pictures of one clip, of one size.

    Attributes:
        files: JPEG files, (bytes,) uint8 each.
        size: height and width of the pictures in the files.
        crop: in the pictures after they are scaled down.
    """

    files: list[Tensor]
    size: tuple[int, int]
    crop: Crop


@dataclass(frozen=True)
class JpegBatch:
    """The pictures of a batch's clips. All files lie in one tensor, which a worker hands over in one piece of memory.

    Attributes:
        data: (total bytes,) uint8.
        lengths: bytes of each file, clip by clip.
        clips: number of pictures, size and crop of each clip.
    """

    data: Tensor
    lengths: list[int]
    clips: list[tuple[int, tuple[int, int], Crop]]

    @classmethod
    def join(cls, clips: list[JpegPictures]) -> "JpegBatch":
        """Return the pictures of clips as a batch."""
        files = [file for clip in clips for file in clip.files]
        return cls(torch.cat(files), list(map(len, files)), [(len(one.files), one.size, one.crop) for one in clips])

    def split(self) -> list[JpegPictures]:
        """Return the pictures of each clip, as views."""
        files = iter(self.data.split(self.lengths))
        return [JpegPictures(list(islice(files, number)), size, crop) for number, size, crop in self.clips]


def decode_clips(batch: JpegBatch, device: torch.device, short_side: int, size: int) -> Iterator[Tensor | str]:
    """Yield the pictures (frames, size, size, 3) uint8 of each clip on the device, or why they cannot be decoded.

    A clip is decoded unless the processor's decoder, too, refuses one of its files: the same clips are readable, on
    whatever device. One that is refused does not cost the rest of a batch.

    Args:
        batch: of at least one clip.
        device: where to decode.
        short_side: to which the pictures are scaled down before they are cropped.
        size: side of the pictures in the end.
    """
    clips = batch.split()
    for start in range(0, len(clips), CLIPS_AT_ONCE):
        part = clips[start : start + CLIPS_AT_ONCE]
        if device.type != "cuda":
            yield from decode_part(part, device, short_side, size)
            continue
        # The decoder writes from a stream of its own, which waits for nothing. With memory of the update that is still
        # being computed it could write over tensors that are in use. So it gets memory of a stream that has finished.
        decoding, current = decoding_stream(device), torch.cuda.current_stream(device)
        decoding.synchronize()
        with torch.cuda.stream(decoding):
            found = list(decode_part(part, device, short_side, size))
        current.wait_stream(decoding)
        for pictures in found:
            if isinstance(pictures, Tensor):
                pictures.record_stream(current)
            yield pictures


@cache
def decoding_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream on which a GPU's pictures are decoded, cropped and resized."""
    return torch.cuda.Stream(device)


def decode_part(part: list[JpegPictures], device: torch.device, short_side: int, size: int) -> Iterator[Tensor | str]:
    """Decode some clips in one call; see `decode_clips`."""
    pictures: Iterator[Tensor] | None = None
    try:
        pictures = iter(decode_jpeg([file for clip in part for file in clip.files], ImageReadMode.RGB, device))
    except RuntimeError:
        pass  # one file at least is refused; the processor tells which
    for clip in part:
        try:
            own = list(islice(pictures, len(clip.files))) if pictures else decode_by_processor(clip, device)
            yield cropped(own, clip, short_side, size)
        except RuntimeError as error:
            yield f"damaged ({str(error).splitlines()[0]})"


def decode_by_processor(clip: JpegPictures, device: torch.device) -> list[Tensor]:
    """Return a clip's pictures (3, H, W) uint8 on the device, decoded without it (RuntimeError if they cannot be)."""
    return [decode_jpeg(file, ImageReadMode.RGB).to(device) for file in clip.files]


def cropped(pictures: list[Tensor], clip: JpegPictures, short_side: int, size: int) -> Tensor:
    """Return a clip's decoded pictures (3, H, W) as (frames, size, size, 3) uint8.

    Raises:
        RuntimeError: they have another size than the clip says, for which the crop was drawn.
    """
    if any(picture.shape[1:] != clip.size for picture in pictures):
        raise RuntimeError(f"a picture is not of {clip.size[0]} x {clip.size[1]} pixels")
    top, left, side, _ = clip.crop
    squares = scaled_down(torch.stack(pictures), short_side)[..., top : top + side, left : left + side]
    return clip.crop.shown(squares, size)


def require_decoder(device: torch.device) -> None:
    """Raise InputError unless torchvision can decode JPEG files on the device, a GPU."""
    if device.type != "cuda":
        raise InputError(f"data.decode=gpu needs a GPU, and this run is on {device.type}; use data.decode=cpu")
    from torchvision.io import encode_jpeg

    try:
        decode_jpeg([encode_jpeg(torch.zeros(3, 16, 16, dtype=torch.uint8))], ImageReadMode.RGB, device)
    except RuntimeError as error:
        raise InputError(
            f"data.decode=gpu: torchvision cannot decode JPEG pictures on {device} ({str(error).splitlines()[0]}); "
            "install a torchvision with nvJPEG, or use data.decode=cpu"
        ) from None
