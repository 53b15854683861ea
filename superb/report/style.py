"""One look for all figures: colours that differ in lightness, and so survive a black-and-white print, and marks."""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

# From dark to light, L* of 19, 44, 62 and 79: neighbours differ in print, and for every kind of colour vision.
COLOURS = ("#14304f", "#1f6f9c", "#d9812a", "#e3bf4f")
MARKERS = ("o", "s", "^", "D")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "--")
WIDTH = 4.6  # inches of a figure: readable on a telephone, where the page is 3.6 wide
SETTINGS: Any = {  # matplotlib types its keys one by one
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
}


def line(number: int) -> dict:
    """Return how to draw the line of that number."""
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[(number + turn) % len(DASHES)],
    }


def bar(number: int) -> dict:
    """Return how to draw the bar of that number."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "edgecolor": "black",
        "linewidth": 0.6,
        "hatch": HATCHES[number // len(COLOURS) % len(HATCHES)],
    }


def finish_bar(axis: Axes, place: float, value: float, interval: tuple[float, float] | None, text: str) -> None:
    """Draw the whisker of a horizontal bar, and its text beyond both."""
    low, high = interval or (value, value)
    if interval:
        outline = [withStroke(linewidth=2.5, foreground="white")]  # dark bars hide a black line
        whisker: Any = {"linewidth": 1, "markersize": 5, "solid_capstyle": "butt", "path_effects": outline}
        axis.plot(interval, [place, place], "|-", color="black", **whisker)
    is_right = value >= 0
    axis.annotate(
        text,
        (max(high, 0) if is_right else min(low, 0), place),
        (3 if is_right else -3, 0),
        textcoords="offset points",
        ha="left" if is_right else "right",
        va="center",
        fontsize=7,
    )


def wrapped(name: str, letters: int) -> str:
    """Return a name in lines of so many letters, broken at spaces and hyphens where it has some."""
    return textwrap.fill(name, letters)


def legend(
    figure: Figure, handles: Sequence[Artist], names: Sequence[str], loc: Any = "outside upper center", **settings: Any
) -> None:
    """Draw a figure's legend in as many columns as fit. `settings`: of matplotlib's legend."""
    columns = 2 if len(names) > 1 and max(map(len, names)) <= 26 else 1
    names = [wrapped(name, 26 if columns == 2 else 50) for name in names]
    figure.legend(handles, names, loc=loc, ncols=columns, **settings)


__all__ = ["COLOURS", "MARKERS", "SETTINGS", "WIDTH", "bar", "finish_bar", "legend", "line", "pyplot", "wrapped"]
