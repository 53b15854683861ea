"""Draw the heads' training: dev scores over the steps, and how much each task weights the encoder's layers."""

from matplotlib.figure import Figure

from mmpt.superb.report import style
from mmpt.superb.report.style import pyplot
from mmpt.upstream.s3prl_runner.tasks import superb_task

COLUMNS = 2
LIGHT = 0.6  # of the greatest weight: above it, numbers are black


def dev_curves(jobs: list[dict]) -> Figure | None:
    """Draw a panel a task: a colour an encoder, a line a seed of the chosen rate, a ring on the tested checkpoint."""
    jobs = [job for job in jobs if job["chosen"] and job.get("dev_curve")]
    tasks = list(dict.fromkeys(job["task"] for job in jobs))
    encoders = list(dict.fromkeys(job["encoder"] for job in jobs))
    if not tasks:
        return None
    rows = -(-len(tasks) // COLUMNS)
    figure, axes = pyplot.subplots(
        rows, COLUMNS, figsize=(style.WIDTH, 2.3 * rows + 0.2 * len(encoders)), squeeze=False, layout="constrained"
    )
    for panel in axes.flat[len(tasks) :]:
        panel.set_axis_off()
    for task, panel in zip(tasks, axes.flat):
        for job in (job for job in jobs if job["task"] == task):
            steps = [int(step) for step in job["dev_curve"]]
            values = [100 * value for value in job["dev_curve"].values()]
            look = style.line(encoders.index(job["encoder"]))
            panel.plot(steps, values, **look, markersize=4, linewidth=1.2)
            if job["dev_score"] is not None:
                panel.plot(
                    job["checkpoint_step"],
                    100 * job["dev_score"],
                    "o",
                    color=look["color"],
                    fillstyle="none",
                    markersize=10,
                )
        known = superb_task(task)
        better = "higher" if known.higher_is_better else "lower"
        panel.set(
            title=task.upper(),
            xlabel="step",
            ylabel=f"dev {known.dev_score.rpartition('-')[2].upper()}, %\n({better} is better)",
        )
    handles = [pyplot.Line2D([], [], **style.line(number)) for number in range(len(encoders))]
    style.legend(figure, handles, encoders, handlelength=3)
    return figure


def layer_weights(jobs: list[dict]) -> Figure | None:
    """Draw the weights of the sum over layers: task and encoder × layer, mean over the seeds of the chosen rate."""
    weights: dict[str, list[list[float]]] = {}
    for job in jobs:
        if job["chosen"] and job.get("layer_weights"):
            weights.setdefault(f"{job['task'].upper()} {job['encoder']}", []).append(job["layer_weights"])
    if not weights:
        return None
    means = {name: [sum(column) / len(rows) for column in zip(*rows)] for name, rows in weights.items()}
    layers, top = max(map(len, means.values())), max(map(max, means.values()))
    figure, axis = pyplot.subplots(
        figsize=(style.WIDTH, 1.2 + 0.15 * sum(2 + len(name) // 20 for name in means)), layout="constrained"
    )
    axis.imshow([row + [float("nan")] * (layers - len(row)) for row in means.values()], aspect="auto", vmin=0, vmax=top)
    for y, row in enumerate(means.values()):
        for x, weight in enumerate(row):
            axis.text(
                x,
                y,
                f"{weight:.2f}",
                ha="center",
                va="center",
                fontsize=7 if layers < 9 else 5,
                color="black" if weight > LIGHT * top else "white",
            )
    axis.set(
        xlabel="layer (0: the input of the first block)",
        xticks=range(layers),
        yticks=range(len(means)),
        yticklabels=[style.wrapped(name, 20) for name in means],
    )
    axis.grid(visible=False)
    return figure
