"""Draw moving mouths, with a different look for each clip.

Lips, cavity, tongue and teeth are bands between two curves over the columns of the picture, with smooth edges. They are
drawn on many frames at once, into the Y, U and V planes that the video encoder takes.
"""

import colorsys
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SIZE = 112  # pixels, square
BLOCK = 16  # frames drawn at once: few enough for the processor's cache

CENTRE_X = SIZE / 2
CENTRE_Y = 0.53 * SIZE
ROWS = slice(32, 106)  # the part of the picture that moves; even limits, for the half-size colour planes
COLUMNS = slice(12, 100)

WIDEST_GAP = 27.0  # pixels between the lips of a wide open mouth
SEAM = 1.2  # pixels of shadow between closed lips

CAVITY = (52, 14, 18)
TONGUE = (176, 82, 88)
TEETH = (238, 232, 218)


@dataclass(frozen=True)
class Look:
    """Colours (red, green, blue from 0 to 255) and sizes (pixels) of one clip's mouth."""

    skin: tuple
    lip: tuple
    background: tuple
    half_width: float
    upper_lip: float
    lower_lip: float
    face: float  # half width of the face


def look_of(name: str) -> Look:
    """Return a clip's look, drawn from a hash of its name: the same in every build, and unrelated to the person."""
    draws = [byte / 255 for byte in hashlib.sha256(f"look of {name}".encode()).digest()]
    tone, hue, redness, darkness, width, upper, lower, face, place, light = draws[:10]
    skin = hsv(0.045 + 0.035 * hue, 0.62 - 0.36 * tone, 0.38 + 0.58 * tone)
    lip_value = (0.38 + 0.58 * tone) * (0.62 + 0.22 * darkness)
    lip = hsv(0.94 + 0.08 * redness, 0.50 + 0.25 * draws[10], lip_value)
    return Look(
        skin=skin,
        lip=lip,
        background=hsv(place, 0.25 + 0.35 * draws[11], 0.25 + 0.6 * light),
        half_width=25 + 8 * width,
        upper_lip=4.5 + 3.5 * upper,
        lower_lip=6.5 + 4 * lower,
        face=46 + 12 * face,
    )


def hsv(hue: float, saturation: float, value: float) -> tuple:
    """Return red, green and blue from 0 to 255."""
    return tuple(255 * part for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def to_yuv(rgb: tuple) -> np.ndarray:
    """Return (3,) luma and chroma of red, green and blue: ITU-R BT.601, limited range, as H.264 players expect."""
    red, green, blue = (part / 255 for part in rgb)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.array([16 + 219 * luma, 128 + 126.5 * (blue - luma), 128 + 159.6 * (red - luma)], dtype=np.float32)


def draw(look: Look, moves: np.ndarray) -> np.ndarray:
    """Draw a clip.

    Args:
        look: of the mouth.
        moves: (frames, 3) opening, width, teeth in [0, 1].

    Returns:
        (frames, 168, 112) uint8: YUV 4:2:0 planes, stacked as in PyAV.
    """
    still = resting_face(look)
    frames = np.empty((len(moves), SIZE * 3 // 2, SIZE), dtype=np.uint8)
    for start in range(0, len(moves), BLOCK):
        block = slice(start, start + BLOCK)
        planes = [np.repeat(plane[None], len(moves[block]), axis=0) for plane in still]
        paint_mouth(planes, look, moves[block])
        flat = [np.clip(plane + 0.5, 16, 240).reshape(len(plane), -1) for plane in planes]
        frames[block] = np.concatenate(flat, axis=1).reshape(-1, SIZE * 3 // 2, SIZE)
    return frames


def resting_face(look: Look) -> list[np.ndarray]:
    """Draw what never moves (background, face, nostrils, chin) as planes Y (112, 112), U and V (56, 56)."""
    planes = []
    for channel, scale in ((0, 1), (1, 2), (2, 2)):
        y, x = centres(slice(0, SIZE), scale)[:, None], centres(slice(0, SIZE), scale)[None, :]
        from_middle = np.hypot((x - CENTRE_X) / look.face, (y - 0.40 * SIZE) / (0.62 * SIZE))
        inside = np.clip((1 - from_middle) * look.face / scale + 0.5, 0, 1)
        skin, background = to_yuv(look.skin)[channel], to_yuv(look.background)[channel]
        plane = background + inside * (skin - background)
        if channel == 0:
            plane -= inside * 34 * np.clip(from_middle, 0, 1) ** 3
            for side in (-1, 1):
                plane -= 40 * spot(x, y, CENTRE_X + side * 8, 0.16 * SIZE, 4.0, 2.2)
            plane -= 16 * spot(x, y, CENTRE_X, 0.17 * SIZE, 16.0, 4.0)
            plane -= 12 * spot(x, y, CENTRE_X, 0.31 * SIZE, 2.6, 7.0)
            plane += 9 * spot(x, y, CENTRE_X, 0.93 * SIZE, 14.0, 6.0)
        planes.append(plane.astype(np.float32))
    return planes


def centres(span: slice, scale: int) -> np.ndarray:
    """Return the middles of a span's pixels, in full-size pixels, for planes of 1/scale the size."""
    return np.arange(span.start + scale / 2, span.stop, scale, dtype=np.float32)


def spot(x: np.ndarray, y: np.ndarray, x0: float, y0: float, wide: float, high: float) -> np.ndarray:
    """Return a smooth spot of height 1 around (x0, y0)."""
    return np.exp(-(((x - x0) / wide) ** 2) - ((y - y0) / high) ** 2)


def paint_mouth(planes: list[np.ndarray], look: Look, moves: np.ndarray) -> None:
    """Paint the bands of the mouth over the Y, U and V planes (frames, height, width), in place."""
    for channels, scale in (((0,), 1), ((1, 2), 2)):
        rows = centres(ROWS, scale)[None, :, None]
        window = (
            slice(None),
            slice(ROWS.start // scale, ROWS.stop // scale),
            slice(COLUMNS.start // scale, COLUMNS.stop // scale),
        )
        for top, bottom, colour, strength in bands(look, moves, centres(COLUMNS, scale)[None, None, :]):
            mask = cover(top, bottom, rows, scale)
            if strength != 1:
                mask *= strength
            yuv = to_yuv(colour)
            for channel in channels:
                picture = planes[channel][window]
                picture += mask * (yuv[channel] - picture)


def cover(top: np.ndarray, bottom: np.ndarray, rows: np.ndarray, scale: int) -> np.ndarray:
    """Return the share of each pixel's height that lies between two curves, in [0, 1], which makes edges smooth."""
    half = scale / 2
    inside = np.minimum(bottom, rows + half)
    inside -= np.maximum(top, rows - half)
    np.clip(inside, 0, scale, out=inside)
    inside *= 1 / scale
    return inside


def bands(look: Look, moves: np.ndarray, x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, tuple, float]]:
    """Yield the bands of a mouth from back to front.

    Args:
        look: of the mouth.
        moves: (frames, 3) opening, width, teeth.
        x: (1, 1, columns) middles of the pixels.

    Yields:
        The curves top and bottom, (frames, 1, columns) in pixels; the colour; the opacity in [0, 1].
    """
    opening, width, teeth = (moves[:, i, None, None] for i in range(3))
    half_width = look.half_width * (0.76 + 0.36 * width - 0.06 * opening)
    from_middle = np.abs(x - CENTRE_X) / half_width
    outer = np.sqrt(np.clip(1 - from_middle**2, 0, None))
    inner = dome(from_middle, 0.88)

    # Hissing sounds open the lips a little and show teeth, although the voice band is weak.
    gap = SEAM + WIDEST_GAP * np.maximum(opening, 0.22 * teeth)
    inner_top = CENTRE_Y - 0.25 * gap * inner
    inner_bottom = CENTRE_Y + 0.75 * gap * inner
    cupids_bow = 1 - 0.30 * np.exp(-((from_middle / 0.15) ** 2))
    outer_top = inner_top - look.upper_lip * (1 - 0.2 * opening) * outer * cupids_bow
    outer_bottom = inner_bottom + look.lower_lip * (1 - 0.15 * opening) * outer

    shine = dome(from_middle, 0.55) * look.lower_lip
    shadow = dome(from_middle, 0.62) * 4.0
    yield outer_bottom + 1, outer_bottom + 1 + shadow, darker(look.skin, 0.80), 0.5
    yield outer_top, inner_top, darker(look.lip, 0.86), 1
    yield inner_bottom, outer_bottom, look.lip, 1
    shine_middle = inner_bottom + 0.42 * look.lower_lip
    yield shine_middle - 0.18 * shine, shine_middle + 0.12 * shine, lighter(look.lip), 0.4
    yield inner_top, inner_bottom, CAVITY, 1
    tongue = (0.40 * gap - 2.5) * (1 - 0.6 * teeth) * dome(from_middle, 0.60)
    yield np.maximum(inner_bottom - tongue, inner_top), inner_bottom, TONGUE, 0.85
    shown = (1.0 + 2.2 * opening + 6.0 * teeth) * dome(from_middle, 0.74)
    yield inner_top + 0.4, np.minimum(inner_top + 0.4 + shown, inner_bottom - 0.4), TEETH, 1


def dome(from_middle: np.ndarray, reach: float) -> np.ndarray:
    """Return a parabola from 1 in the middle to 0 at `reach` and beyond."""
    return np.clip(1 - (from_middle / reach) ** 2, 0, None)


def darker(colour: tuple, share: float) -> tuple:
    """Return `share` of a colour's brightness."""
    return tuple(share * part for part in colour)


def lighter(colour: tuple) -> tuple:
    """Return a colour moved towards white."""
    return tuple(part + 0.45 * (255 - part) for part in colour)
