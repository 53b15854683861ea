"""The curves of a run of stage 1: what its validations found, over updates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpt.pretrain.plots import pyplot, save
from mmpt.pretrain.validation_record import Row

SOUND, PICTURE = "tab:blue", "tab:orange"
LEGEND: Any = {  # under a panel, where it covers no curve
    "loc": "upper center",
    "bbox_to_anchor": (0.5, -0.15),
    "title": "bands: 95 % over groups",
    "fontsize": 8,
    "title_fontsize": 8,
    "handlelength": 3,
}
REFERENCE: Any = {"color": "black", "linestyle": ":", "linewidth": 1}


@dataclass(frozen=True)
class Panel:
    """A panel of the picture.

    Args:
        title: above it.
        lines: a figure's name, its label, its colour and its style each.
        reference: where a dotted line is drawn, beside those of chance.
    """

    title: str
    lines: tuple[tuple[str, str, str, str], ...]
    reference: float | None = None


PANELS = (
    Panel(
        "Retrieval among all unseen clips",
        (
            ("audio_to_video_r10", "picture of a sound among the first 10", SOUND, "--"),
            ("video_to_audio_r10", "sound of a picture among the first 10", PICTURE, "--"),
            ("audio_to_video_r1", "picture of a sound is the first", SOUND, "-"),
            ("video_to_audio_r1", "sound of a picture is the first", PICTURE, "-"),
        ),
    ),
    Panel(
        "Retrieval inside a speaker or action",
        (
            ("within_audio_to_video_pairwise", "picture of a sound before another one", SOUND, "--"),
            ("within_video_to_audio_pairwise", "sound of a picture before another one", PICTURE, "--"),
            ("within_audio_to_video_r1", "picture of a sound is the first", SOUND, "-"),
            ("within_video_to_audio_r1", "sound of a picture is the first", PICTURE, "-"),
        ),
    ),
    Panel(
        "Error of reconstruction (1: the mean's)",
        (
            ("audio_error_over_mean", "sound", SOUND, "-"),
            ("video_error_over_mean", "pictures", PICTURE, "-"),
        ),
        reference=1.0,
    ),
)


def curve_picture(rows: Sequence[Row], path: Path) -> None:
    """Draw retrieval and reconstruction errors over updates, with bands of 95 % and lines of chance, as a PNG."""
    names = {row.figure for row in rows}
    panels = [panel for panel in PANELS if any(name in names for name, *_ in panel.lines)]
    size = (5.5 * len(panels), 5.0)
    figure, axes = pyplot.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for place, panel in zip(axes[0], panels):
        lines = [line for line in panel.lines if line[0] in names]
        for name, label, colour, style in lines:
            draw(place, [row for row in rows if row.figure == name], label, colour, style)
        if panel.reference is not None:
            place.axhline(panel.reference, **REFERENCE)
        place.set(xlabel="updates", ylim=(0, None))
        place.set_title(panel.title)
        place.legend(**LEGEND)
        place.grid(alpha=0.3)
    save(figure, path)


def draw(axes: pyplot.Axes, rows: Sequence[Row], label: str, colour: str, style: str) -> None:
    """Draw one figure over updates, its band, and a dotted line of what guessing gets."""
    steps, last = [row.step for row in rows], rows[-1]
    label = f"{label} ({last.clips} clips, {last.clusters} groups)"
    axes.plot(steps, [row.value for row in rows], style, color=colour, label=label, marker=".", linewidth=1.5)
    low, high = [row.low for row in rows], [row.high for row in rows]
    axes.fill_between(steps, low, high, color=colour, alpha=0.12, linewidth=0)
    if not math.isnan(last.chance):
        axes.axhline(last.chance, **REFERENCE)
