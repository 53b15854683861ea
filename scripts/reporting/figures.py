"""The figures of a report. Each returns None where nothing is known of what it would show."""

from matplotlib.figure import Figure

from mmpt.scripts.reporting import style
from mmpt.scripts.reporting.collect import Cell, Row, baselines, relative_change
from mmpt.scripts.reporting.style import pyplot
from mmpt.scripts.reporting.word_errors import WordErrors
from mmpt.scripts.superb.scoring.board import published
from mmpt.upstream.stock.tasks import find_task

LOWEST = -60  # superb_s under this is drawn at the lower edge, with its value
TOP = 1080


def cell_title(cell: Cell) -> str:
    """A task's name, with LibriSpeech's test set for ASR."""
    task, split = cell
    return task.upper() + (f" {split.removeprefix('test-')}" if split != "test" else "")


def change_by_task(rows: list[Row], cells: list[Cell]) -> Figure | None:
    """The paper's figure 2: by how much each task's score is better or worse than that of the encoder before, and of the untrained one."""
    panels: dict[str, list[Row]] = {}
    for row in rows:
        for against in baselines(rows, row):
            panels.setdefault(against, []).append(row)
    panels = {against: group for against, group in panels.items() if any(_changes(rows, row, against, cells) for row in group)}
    if not panels:
        return None
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(6.6, 2.9 * len(panels)), squeeze=False, layout="constrained")
    for (against, group), axis in zip(panels.items(), axes[:, 0]):
        width = 0.8 / len(group)
        for number, row in enumerate(group):
            changes = _changes(rows, row, against, cells)
            places = [cells.index(cell) + (number - (len(group) - 1) / 2) * width for cell in changes]
            bars = axis.bar(places, changes.values(), width, label=row.name, **style.bar(rows.index(row)))
            axis.bar_label(bars, fmt="%+.0f", fontsize=7, padding=2)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.margins(y=0.18)
        axis.set(title=f"against {against}", ylabel="relative change, %\n(up is better)", xticks=range(len(cells)), xticklabels=map(cell_title, cells))
        axis.grid(axis="x", visible=False)
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _changes(rows: list[Row], row: Row, against: str, cells: list[Cell]) -> dict[Cell, float]:
    other, found = baselines(rows, row)[against], {}
    for cell in cells:
        higher = find_task(cell[0]).metric == "acc"
        change = relative_change(row.mean(cell), other.mean(cell), higher)
        if change is not None:
            found[cell] = change
    return found


def average_gains(tables: dict[str, WordErrors]) -> Figure | None:
    """The paper's figure 3: what mid-training gains in word errors on average, by method, language and data set."""
    clean = tables["clean"]
    groups = {"method": clean.methods(), "language": clean.languages(), "data": clean.data_sets()}
    gains = {
        (split, what, name): table.gain(**{what: name}) for split, table in tables.items() for what, names in groups.items() for name in names
    }  # fmt: skip
    gains = {key: value for key, value in gains.items() if value is not None}
    if not gains:
        return None
    groups = {what: [name for name in names if any((split, what, name) in gains for split in tables)] for what, names in groups.items()}
    ratios = [max(1, len(names)) for names in groups.values()]
    figure, axes = pyplot.subplots(1, 3, figsize=(7.2, 2.9), sharey=True, layout="constrained", width_ratios=ratios)
    for (what, names), axis in zip(groups.items(), axes):
        for number, split in enumerate(tables):
            known = {place + 0.4 * number - 0.2: gains[split, what, name] for place, name in enumerate(names) if (split, what, name) in gains}
            bars = axis.bar(known.keys(), known.values(), 0.38, label=f"test-{split}", **style.bar(2 * number))
            axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set(title=f"by {'data set' if what == 'data' else what}", xticks=range(len(names)), xticklabels=names)
        axis.grid(axis="x", visible=False)
    axes[0].set_ylabel("relative WER gain of\nmid-training, %")
    axes[0].margins(y=0.15)
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(min(low, -1), max(high, 1))  # no gain at all is drawn as none
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def among_published(rows: list[Row]) -> Figure | None:
    """superb_s against parameters and MACs, ours among the leaderboard's rows. A score far under FBANK's stands at the lower edge."""
    ours = [(row.name, row.board["superb_s"], row.cost["parameters"] / 1e6, row.macs / 1e9) for row in rows if row.board and row.cost]
    ours = [entry for entry in ours if entry[1] is not None]
    if not ours:
        return None
    others = [(row.name, row.superb_s, row.params, row.gmacs) for row in published()]
    figure, axes = pyplot.subplots(2, 1, figsize=(6.6, 7.0), layout="constrained")
    for axis, column, title in zip(axes, (2, 3), ("parameters, millions", "GMACs of the official 32 utterances")):
        _scatter(axis, [(entry[0], entry[1], entry[column]) for entry in others], "white", 34)
        _scatter(axis, [(entry[0], entry[1], entry[column]) for entry in ours], style.COLOURS[2], 46)
        axis.set(xscale="log", xlabel=title, ylabel="superb_s (five tasks)", ylim=(LOWEST - 40, TOP))
        axis.margins(x=0.2)
    return figure


def _scatter(axis, points: list[tuple[str, float, float | None]], colour: str, size: float) -> None:
    for name, score, place in points:
        if not place:  # no such figure is published, or 0, which a logarithm has no place for
            continue
        is_under = score < LOWEST
        axis.scatter(place, max(score, LOWEST), size, colour, marker="v" if is_under else "o", edgecolors="black", linewidths=0.8, zorder=3)
        label = f"{name} ({score:.0f})" if is_under else name
        weight = "normal" if colour == "white" else "bold"
        axis.annotate(label, (place, max(score, LOWEST)), (6, 3), textcoords="offset points", fontsize=7.5, fontweight=weight)
