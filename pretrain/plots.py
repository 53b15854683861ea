"""Plots of a validation: similarity of sounds and pictures, and reconstructions."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
from torch import Tensor

from mmpt.upstream.files import replacing

matplotlib.use("Agg")  # needs no screen
from matplotlib import pyplot

ROWS = ("original", "masked", "reconstructed")
FRAMES_SHOWN = 6


@dataclass(frozen=True)
class Example:
    """A clip to show.

    Attributes:
        id: of the clip.
        group: of the clip.
        sounds: features (frames, n_mels), one for each of ROWS.
        pictures: (frames, size, size, 3) uint8, one for each of ROWS.
    """

    id: str
    group: str
    sounds: list[Tensor]
    pictures: list[Tensor]


def similarity_picture(similarity: Tensor, groups: list[str], path: Path) -> None:
    """Draw the similarity of every sound (rows) to every picture (columns) as a PNG.

    Clips are in the order of their groups. The diagonal belongs together; squares on it are groups.
    """
    figure, axes = pyplot.subplots(figsize=(7, 6), layout="constrained")
    image = axes.imshow(similarity.numpy(), cmap="magma", interpolation="nearest")
    edges = [i for i in range(1, len(groups)) if groups[i] != groups[i - 1]]
    bounds = [0, *edges, len(groups)]
    if len(edges) < 30:  # more lines would hide what is between them
        for edge in edges:
            axes.axhline(edge - 0.5, color="white", linewidth=0.5)
            axes.axvline(edge - 0.5, color="white", linewidth=0.5)
        axes.set_yticks([(a + b) / 2 for a, b in zip(bounds, bounds[1:])], [groups[a] for a in bounds[:-1]], fontsize=7)
    else:
        axes.set_yticks([])
    axes.set_xticks([])
    axes.set(
        title="Which sound fits which picture (held-out clips)",
        ylabel="sound of a clip",
        xlabel="picture of a clip, same order",
    )
    figure.colorbar(image, label="cosine similarity")
    save(figure, path)


def reconstruction_picture(examples: list[Example], path: Path) -> None:
    """Draw spectrograms and pictures of held-out clips, original, masked and reconstructed, as a PNG."""
    figure = pyplot.figure(figsize=(15, 3.6 * len(examples)), layout="constrained")
    for part, example in zip(figure.subfigures(len(examples), 1, squeeze=False)[:, 0], examples):
        part.suptitle(f"{example.id}  ({example.group})", fontsize=9)
        axes = part.subplots(len(ROWS), 1 + FRAMES_SHOWN, gridspec_kw={"width_ratios": [5.0] + [1.0] * FRAMES_SHOWN})
        low, high = example.sounds[0].min().item(), example.sounds[0].max().item()
        chosen = [round(i * (len(example.pictures[0]) - 1) / (FRAMES_SHOWN - 1)) for i in range(FRAMES_SHOWN)]
        for row, name, sound, pictures in zip(axes, ROWS, example.sounds, example.pictures):
            colours = pyplot.get_cmap("magma").with_extremes(bad="grey")
            row[0].imshow(
                sound.T.numpy(),
                origin="lower",
                aspect="auto",
                cmap=colours,
                vmin=low,
                vmax=high,
                interpolation="nearest",
            )
            row[0].set_ylabel(name, fontsize=8)
            for place, frame in zip(row[1:], chosen):
                place.imshow(pictures[frame].numpy())
            for place in row:
                place.set_xticks([])
                place.set_yticks([])
        axes[-1, 0].set_xlabel(f"mel filterbank over {len(example.sounds[0]) / 100:.1f} s", fontsize=8)
    save(figure, path)


def save(figure: pyplot.Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    pyplot.close(figure)
