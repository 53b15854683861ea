"""Draw the figures of a report. Each function returns None if it has nothing to show."""

from matplotlib.figure import Figure

from mmpt.superb.report import style
from mmpt.superb.report.collect import Cell, EncoderRow, baselines, relative_change
from mmpt.superb.report.style import pyplot
from mmpt.superb.report.word_errors import WordErrors
from mmpt.superb.scoring.board import PublishedRow, published
from mmpt.upstream.s3prl_runner.tasks import superb_task

LOWEST = -60  # a lower superb_s is drawn there


def cell_title(cell: Cell) -> str:
    """Return a task's name, with LibriSpeech's test set for ASR."""
    task, split = cell
    return task.upper() + (f" {split.removeprefix('test-')}" if split != "test" else "")


def change_by_task(rows: list[EncoderRow], cells: list[Cell]) -> Figure | None:
    """Draw the paper's figure 2: how much each score is better than before mid-training, and than untrained."""
    panels: dict[str, list[EncoderRow]] = {}
    for row in rows:
        for against in baselines(rows, row):
            panels.setdefault(against, []).append(row)
    panels = {
        against: group for against, group in panels.items() if any(_changes(rows, row, against, cells) for row in group)
    }
    if not panels:
        return None
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(style.WIDTH, 3.1 * len(panels)), squeeze=False, layout="constrained"
    )
    for (against, group), axis in zip(panels.items(), axes[:, 0]):
        width = 0.8 / len(group)
        for number, row in enumerate(group):
            changes = _changes(rows, row, against, cells)
            places = [cells.index(cell) + (number - (len(group) - 1) / 2) * width for cell in changes]
            bars = axis.bar(places, changes.values(), width, label=row.name, **style.bar(rows.index(row)))
            axis.bar_label(bars, fmt="%+.0f", fontsize=7, padding=2)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.margins(y=0.18)
        axis.set(
            title=f"against {against}",
            ylabel="relative change, %\n(up is better)",
            xticks=range(len(cells)),
            xticklabels=map(cell_title, cells),
        )
        axis.grid(axis="x", visible=False)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.12), ncols=3)
    return figure


def _changes(rows: list[EncoderRow], row: EncoderRow, against: str, cells: list[Cell]) -> dict[Cell, float]:
    other, found = baselines(rows, row)[against], {}
    for cell in cells:
        higher = superb_task(cell[0]).metric == "acc"
        change = relative_change(row.mean(cell), other.mean(cell), higher)
        if change is not None:
            found[cell] = change
    return found


def average_gains(tables: dict[str, WordErrors]) -> Figure | None:
    """Draw the paper's figure 3: the average gain of mid-training in word errors, by method, language and data set."""
    clean = tables["clean"]
    groups = {"method": clean.methods(), "language": clean.languages(), "data": clean.data_sets()}
    gains = {
        (split, what, name): table.gain(**{what: name})
        for split, table in tables.items()
        for what, names in groups.items()
        for name in names
    }
    gains = {key: value for key, value in gains.items() if value is not None}
    if not gains:
        return None
    groups = {
        what: [name for name in names if any((split, what, name) in gains for split in tables)]
        for what, names in groups.items()
    }
    figure, axes = pyplot.subplots(3, 1, figsize=(style.WIDTH, 6.6), sharey=True, layout="constrained")
    for (what, names), axis in zip(groups.items(), axes):
        for number, split in enumerate(tables):
            known = {
                place + 0.4 * number - 0.2: gains[split, what, name]
                for place, name in enumerate(names)
                if (split, what, name) in gains
            }
            bars = axis.bar(known.keys(), known.values(), 0.38, label=f"test-{split}", **style.bar(2 * number))
            axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set(title=f"by {'data set' if what == 'data' else what}", xticks=range(len(names)), xticklabels=names)
        axis.grid(axis="x", visible=False)
    axes[1].set_ylabel("relative WER gain of mid-training, %")
    axes[0].margins(y=0.15)
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(min(low, -1), max(high, 1))  # no gain at all is drawn as none
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def among_published(rows: list[EncoderRow]) -> Figure | None:
    """Draw superb_s against parameters and MACs, ours among the leaderboard's rows, numbered by rank.

    A score far under FBANK's stands at the lower edge.
    """
    ours = [
        PublishedRow(row.name, {}, row.cost["parameters"] / 1e6, (row.macs or 0) / 1e9, row.board["superb_s"])
        for row in rows
        if row.board and row.cost and row.board["superb_s"] is not None
    ]
    if not ours:
        return None
    ranked = sorted([*published(), *ours], key=lambda row: row.superb_s, reverse=True)
    sizes = {
        "parameters, millions": [row.params for row in ranked],
        "GMACs of the official 32 utterances": [row.gmacs for row in ranked],
    }
    figure, axes = pyplot.subplots(2, 1, figsize=(style.WIDTH, 9.6), sharey=True, layout="constrained")
    for axis, (title, column) in zip(axes, sizes.items()):
        places: dict[tuple[float, float], list[int]] = {}
        for number, (row, size) in enumerate(zip(ranked, column), 1):
            if size:  # not published (None), or 0, for which a logarithm has no place
                places.setdefault((size, max(row.superb_s, LOWEST)), []).append(number)
        for place, numbers in places.items():
            is_ours, is_left = ranked[numbers[0] - 1] in ours, numbers[0] % 2 == 0
            colour, marker = style.COLOURS[2] if is_ours else "white", "v" if place[1] == LOWEST else "o"
            axis.scatter(*place, 48, colour, marker=marker, edgecolors="black", linewidths=0.8, zorder=3)
            axis.annotate(
                ", ".join(map(str, numbers)),
                place,
                (-6 if is_left else 6, 3),
                textcoords="offset points",
                ha="right" if is_left else "left",
                fontsize=8,
                fontweight="bold" if is_ours else "normal",
            )
        axis.set(
            xscale="log", xlabel=title, ylabel="superb_s (five tasks)", ylim=(LOWEST - 60, ranked[0].superb_s + 60)
        )
        axis.margins(x=0.1)
    names = [f"{number}  {row.name} ({row.superb_s:.0f})" for number, row in enumerate(ranked, 1)]
    colours = [style.COLOURS[2] if row in ours else "white" for row in ranked]
    handles = [
        pyplot.Line2D([], [], linestyle="", marker="o", color=colour, markeredgecolor="black") for colour in colours
    ]
    figure.legend(handles, names, loc="outside lower center", handletextpad=0.1, ncols=2, fontsize=7.5)
    return figure
