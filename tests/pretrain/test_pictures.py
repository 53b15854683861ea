"""JPEG pictures: decoded like another library decodes them, scaled down, never up."""

import io

import numpy
import pytest
import torch
from PIL import Image

from mmpt.pretrain.pictures import decode_picture, resized


def smooth_picture(height: int, width: int) -> Image.Image:
    """Return a picture of soft colours, which JPEG keeps well."""
    y, x = numpy.mgrid[0:height, 0:width]
    channels = [128 + 90 * numpy.sin(x / 17 + shift) * numpy.cos(y / 23) for shift in range(3)]
    return Image.fromarray(numpy.stack(channels, axis=-1).astype(numpy.uint8))


def as_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as shards keep it."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85, subsampling="4:2:0")
    return file.getvalue()


def test_a_picture_is_what_was_written():
    picture = smooth_picture(48, 64)
    decoded = decode_picture(as_jpeg(picture), short_side=100)
    assert decoded.shape == (48, 64, 3) and decoded.dtype == numpy.uint8
    assert numpy.abs(decoded.astype(int) - numpy.asarray(picture)).mean() < 3


@pytest.mark.parametrize(("size", "short_side", "wanted"), [((48, 64), 24, (24, 32)), ((60, 30), 15, (30, 15))])
def test_a_large_picture_is_scaled_down(size, short_side, wanted):
    decoded = decode_picture(as_jpeg(smooth_picture(*size)), short_side)
    small = numpy.asarray(smooth_picture(*size).resize(wanted[::-1], Image.Resampling.BILINEAR))
    assert decoded.shape == (*wanted, 3)
    assert numpy.abs(decoded.astype(int) - small).mean() < 3


def test_a_grey_picture_gets_three_channels():
    decoded = decode_picture(as_jpeg(smooth_picture(16, 16).convert("L")), short_side=16)
    assert decoded.shape == (16, 16, 3) and (decoded[..., 0] == decoded[..., 2]).all()


def test_bytes_that_are_no_jpeg_are_an_error():
    with pytest.raises(RuntimeError):
        decode_picture(b"no picture", 16)


def test_torchvision_resizes_to_nearly_the_same():
    from torchvision.transforms.v2.functional import resize

    pictures = torch.from_numpy(numpy.stack([smooth_picture(50, 70)] * 2)).permute(0, 3, 1, 2)
    ours, theirs = resized(pictures, 32, 32), resize(pictures, [32, 32])
    assert (ours.int() - theirs.int()).abs().max() <= 1  # the same bits with 0.26
