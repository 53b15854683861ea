"""Pictures of a SUPERB run: dev scores over the steps, and which of the encoder's layers each task listens to."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend is chosen first)
from matplotlib.figure import Figure  # noqa: E402

from mmpt.upstream.stock.tasks import find_task  # noqa: E402


def draw(content: dict, folder: Path) -> list[Path]:
    """dev_curves.png and layer_weights.png of results.json's content; what nothing is known of is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, figure in (("dev_curves", dev_curves(content["jobs"])), ("layer_weights", layer_weights(content["jobs"]))):
        if figure is not None:
            half = folder / f".{name}.png"
            figure.savefig(half, dpi=130)
            pyplot.close(figure)
            drawn.append(half.replace(folder / f"{name}.png"))
    return drawn


def dev_curves(jobs: list[dict]) -> Figure | None:
    """A panel a task; a colour an encoder, a line a seed of the chosen learning rate, a ring on the checkpoint that was tested."""
    jobs = [job for job in jobs if job["chosen"] and job.get("dev_curve")]
    tasks = list(dict.fromkeys(job["task"] for job in jobs))
    if not tasks:
        return None
    figure, axes = pyplot.subplots(1, len(tasks), figsize=(3.4 * len(tasks) + 0.6, 3.4), squeeze=False, layout="constrained")
    encoders = list(dict.fromkeys(job["encoder"] for job in jobs))
    for task, panel in zip(tasks, axes[0]):
        for job in (job for job in jobs if job["task"] == task):
            steps = [int(step) for step in job["dev_curve"]]
            values = [100 * value for value in job["dev_curve"].values()]
            colour = f"C{encoders.index(job['encoder'])}"
            panel.plot(steps, values, color=colour, marker=".", linewidth=1)
            if job["dev_score"] is not None:
                panel.plot(job["checkpoint_step"], 100 * job["dev_score"], "o", color=colour, fillstyle="none", markersize=9)
        known = find_task(task)
        better = "higher" if known.higher_is_better else "lower"
        panel.set(title=task.upper(), xlabel="step", ylabel=f"dev {known.dev_score.rpartition('-')[2].upper()}, % ({better} is better)")
        panel.grid(alpha=0.3)
    handles = [pyplot.Line2D([], [], color=f"C{i}", marker=".", label=name) for i, name in enumerate(encoders)]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(encoders))
    return figure


def layer_weights(jobs: list[dict]) -> Figure | None:
    """Weights of the sum over layers, task and encoder × layer, mean over the seeds of the chosen learning rate."""
    weights: dict[str, list[list[float]]] = {}
    for job in jobs:
        if job["chosen"] and job.get("layer_weights"):
            weights.setdefault(f"{job['task'].upper()} {job['encoder']}", []).append(job["layer_weights"])
    if not weights:
        return None
    means = {name: [sum(column) / len(rows) for column in zip(*rows)] for name, rows in weights.items()}
    layers = max(map(len, means.values()))
    figure, axis = pyplot.subplots(figsize=(2.6 + 0.55 * layers, 1.2 + 0.3 * len(means)), layout="constrained")
    image = axis.imshow([row + [float("nan")] * (layers - len(row)) for row in means.values()], aspect="auto", vmin=0)
    axis.set(xlabel="layer (0: the input of the first block)", xticks=range(layers), yticks=range(len(means)), yticklabels=list(means))
    figure.colorbar(image, label="weight")
    return figure
