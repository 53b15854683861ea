"""Pictures of a validation, for people who would rather look than read."""

from pathlib import Path

import matplotlib
from torch import Tensor

matplotlib.use("Agg")  # no screen is needed
from matplotlib import pyplot  # noqa: E402


def similarity_picture(similarity: Tensor, groups: list[str], path: Path) -> None:
    """Similarities of every sound (rows) to every picture (columns), clips in the order of their groups, as a PNG. The
    diagonal belongs together; squares on it are groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(7, 6), layout="constrained")
    image = axes.imshow(similarity.numpy(), cmap="magma", interpolation="nearest")
    edges = [i for i in range(1, len(groups)) if groups[i] != groups[i - 1]]
    for edge in edges:
        axes.axhline(edge - 0.5, color="white", linewidth=0.5)
        axes.axvline(edge - 0.5, color="white", linewidth=0.5)
    bounds = [0, *edges, len(groups)]
    axes.set_yticks([(a + b) / 2 for a, b in zip(bounds, bounds[1:])], [groups[a] for a in bounds[:-1]], fontsize=7)
    axes.set_xticks([])
    axes.set(title="Which sound fits which picture (held-out clips)", ylabel="sound of a clip", xlabel="picture of a clip, same order")
    figure.colorbar(image, label="cosine similarity")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
