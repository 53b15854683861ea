"""Draw scores with their intervals, and what training the encoder changed. None if there is nothing to show."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from mmpt.superb.report import style
from mmpt.superb.report.changes import Change, baselines, change
from mmpt.superb.report.rows import Cell, EncoderRow
from mmpt.superb.report.style import pyplot
from mmpt.superb.statistics.metrics import is_better, shown_metrics, title

COLUMNS = 2
BAR = 0.13  # inches of a figure's height


def cell_title(cell: Cell) -> str:
    """Return a task's name, with LibriSpeech's test set, and the metric where a task has two."""
    task, split, metric = cell
    of_split = [] if split == "test" else [split.removeprefix("test-")]
    return " ".join([task.upper(), *of_split, *([metric.upper()] if len(shown_metrics(task)) > 1 else [])])


def scores(rows: list[EncoderRow], cells: list[Cell]) -> Figure | None:
    """Draw a panel for each figure: a point an encoder, its 95 % interval, and small the head seeds."""
    if not cells:
        return None
    lines = -(-len(cells) // COLUMNS)
    names = [style.wrapped(row.name, 16) for row in rows]
    height = lines * (0.85 + 0.14 * len(names) * (2 + max(name.count("\n") for name in names)))
    figure, axes = pyplot.subplots(
        lines,
        COLUMNS,
        figsize=(style.WIDTH, height),
        sharey=True,
        squeeze=False,
        layout=ConstrainedLayoutEngine(hspace=0.08),
    )
    for axis in axes.flat[len(cells) :]:
        axis.set_axis_off()
    for cell, axis in zip(cells, axes.flat):
        for number, row in enumerate(rows):
            if cell in row.scores:
                _draw_score(axis, number, row, cell)
        better = "right" if is_better(cell[2], 1.0) else "left"
        axis.set(title=title(*cell).rstrip("↑↓ "), xlabel=f"% ({better} is better)")
        axis.set(yticks=range(len(rows)), yticklabels=names, ylim=(len(rows) - 0.4, -0.6))
    return figure


def _draw_score(axis: Axes, number: int, row: EncoderRow, cell: Cell) -> None:
    score, look = row.scores[cell], style.line(number)
    if score.interval:
        low, high = score.interval
        axis.plot([low, high], [number, number], "|-", color=look["color"], linewidth=1.4, markersize=7)
    if len(score.values) > 1:
        seeds = [100 * value for value in score.values.values()]
        axis.plot(seeds, [number + 0.25] * len(seeds), "o", color="#777", markersize=2)
    axis.plot(score.mean, number, look["marker"], color=look["color"], markeredgecolor="black", markersize=6, zorder=3)


def change_by_task(rows: list[EncoderRow], cells: list[Cell], comparisons: list[dict]) -> Figure | None:
    """Draw the paper's figure 2: how much each score is better than before mid-training, and than untrained."""
    panels: dict[str, dict[str, dict[Cell, Change]]] = {}  # baseline → encoder → changes
    for row in rows:
        for against, baseline in baselines(rows, row).items():
            known = {cell: change(row, baseline, cell, comparisons) for cell in cells}
            changes = {cell: value for cell, value in known.items() if value is not None}
            if changes:
                panels.setdefault(against, {})[row.name] = changes
    if not panels:
        return None
    bars = [sum(map(len, group.values())) for group in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels),
        1,
        figsize=(style.WIDTH, 0.2 * len(rows) + sum(0.8 + BAR * (number + len(cells)) for number in bars)),
        height_ratios=[0.3 + BAR * (number + len(cells)) for number in bars],
        squeeze=False,
        layout="constrained",
    )
    colours = {row.name: style.bar(number) for number, row in enumerate(rows)}
    for (against, group), axis in zip(panels.items(), axes[:, 0]):
        _draw_changes(axis, group, cells, colours)
        axis.set(title=f"against {against}", xlabel="relative change, % (right is better)")
    handles = {name: bars for axis in axes.flat for bars, name in zip(*axis.get_legend_handles_labels())}
    names = [row.name for row in rows if row.name in handles]
    style.legend(figure, [handles[name] for name in names], names)
    return figure


def _draw_changes(axis: Axes, group: dict[str, dict[Cell, Change]], cells: list[Cell], colours: dict) -> None:
    """Draw a group of bars for each figure, a bar an encoder. `group`: encoder → changes; `colours`: looks of bars."""
    width = 0.8 / len(group)
    for number, (name, changes) in enumerate(group.items()):
        places = [cells.index(cell) + (number - (len(group) - 1) / 2) * width for cell in changes]
        axis.barh(places, [one.value for one in changes.values()], width, label=name, **colours[name])
        for place, one in zip(places, changes.values()):
            style.finish_bar(axis, place, one.value, one.interval, f"{round(one.value):+d}")
    axis.axvline(0, color="black", linewidth=0.8)
    axis.margins(x=0.14)
    axis.locator_params(axis="x", nbins=6)
    axis.set(yticks=range(len(cells)), yticklabels=map(cell_title, cells), ylim=(len(cells) - 0.45, -0.55))
    axis.grid(axis="y", visible=False)
