"""One look for all figures: colours that differ in lightness, and so survive a black-and-white print, and marks."""

from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

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


__all__ = ["COLOURS", "MARKERS", "SETTINGS", "WIDTH", "bar", "line", "pyplot"]
