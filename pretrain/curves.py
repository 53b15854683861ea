"""The curves of a run of stage 1: what its validations found, over updates."""

import math
from collections.abc import Sequence
from pathlib import Path

from mmpt.pretrain.plots import pyplot, save
from mmpt.pretrain.validation_record import Row

# Panel → its title and what it draws: a figure's name, its label, its colour and its line.
SOUND, PICTURE = "tab:blue", "tab:orange"
PANELS = (
    (
        "Retrieval among all unseen clips",
        (
            ("audio_to_video_r1", "picture of a sound is the first", SOUND, "-"),
            ("video_to_audio_r1", "sound of a picture is the first", PICTURE, "-"),
            ("audio_to_video_r10", "is among the first 10", SOUND, "--"),
            ("video_to_audio_r10", "likewise", PICTURE, "--"),
        ),
    ),
    (
        "Retrieval inside a speaker or action",
        (
            ("within_audio_to_video_r1", "picture of a sound is the first", SOUND, "-"),
            ("within_video_to_audio_r1", "sound of a picture is the first", PICTURE, "-"),
            ("within_audio_to_video_pairwise", "is nearer than another one", SOUND, "--"),
            ("within_video_to_audio_pairwise", "likewise", PICTURE, "--"),
        ),
    ),
    (
        "Error of reconstruction / error of the mean",
        (
            ("audio_error_over_mean", "sound", SOUND, "-"),
            ("video_error_over_mean", "pictures", PICTURE, "-"),
        ),
    ),
)


def curve_picture(rows: Sequence[Row], path: Path) -> None:
    """Draw retrieval and reconstruction errors over updates, with bands of 95 % and lines of chance, as a PNG."""
    names = {row.figure for row in rows}
    panels = [(title, [line for line in lines if line[0] in names]) for title, lines in PANELS]
    panels = [(title, lines) for title, lines in panels if lines]
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(5.5 * len(panels), 4.5), layout="constrained", squeeze=False
    )
    for place, (title, lines) in zip(axes[0], panels):
        for name, label, colour, style in lines:
            draw(place, [row for row in rows if row.figure == name], label, colour, style)
        place.set(title=f"{title} ({clips_in_words(rows, lines[0][0])})", xlabel="updates", ylim=(0, None))
        place.legend(fontsize=7)
        place.grid(alpha=0.3)
    save(figure, path)


def draw(axes: pyplot.Axes, rows: Sequence[Row], label: str, colour: str, style: str) -> None:
    """Draw one figure over updates, its band, and a dotted line of what guessing gets."""
    steps = [row.step for row in rows]
    axes.plot(steps, [row.value for row in rows], style, color=colour, label=label, marker=".", linewidth=1.5)
    axes.fill_between(
        steps, [row.low for row in rows], [row.high for row in rows], color=colour, alpha=0.12, linewidth=0
    )
    if not math.isnan(chance := rows[-1].chance):
        axes.axhline(chance, color="black", linestyle=":", linewidth=1)


def clips_in_words(rows: Sequence[Row], name: str) -> str:
    """Return of how many clips and clusters a figure is."""
    last = [row for row in rows if row.figure == name][-1]
    return f"{last.clips} clips, {last.clusters} clusters"
