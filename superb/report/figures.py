"""Draw gains in word errors, and a place among the published rows. None if there is nothing to show."""

from matplotlib.figure import Figure

from mmpt.superb.report import style
from mmpt.superb.report.changes import Ends
from mmpt.superb.report.rows import EncoderRow
from mmpt.superb.report.style import pyplot
from mmpt.superb.report.word_errors import WordErrors
from mmpt.superb.scoring.board import PublishedRow, published

LOWEST = -60  # a lower superb_s is drawn there


def average_gains(tables: dict[str, WordErrors], intervals: dict[tuple[str, str, str], Ends]) -> Figure | None:
    """Draw the paper's figure 3: the average gain of mid-training in word errors, by method, language and data set.

    Args:
        tables: test set → word errors.
        intervals: of `changes.gain_intervals`.
    """
    clean = tables["clean"]
    groups = {"method": clean.methods(), "language": clean.languages(), "data": clean.data_sets()}
    gains = {
        (split, what, name): gain
        for split, table in tables.items()
        for what, names in groups.items()
        for name in names
        if (gain := table.gain(**{what: name})) is not None
    }
    if not gains:
        return None
    groups = {
        what: [name for name in names if any((split, what, name) in gains for split in tables)]
        for what, names in groups.items()
    }
    labels = {what: [style.wrapped(name, 16) for name in names] for what, names in groups.items()}
    sizes = [0.35 + sum(0.2 + 0.14 * (1 + name.count("\n")) for name in names) for names in labels.values()]
    figure, axes = pyplot.subplots(
        3, 1, figsize=(style.WIDTH, 1 + sum(sizes)), height_ratios=sizes, sharex=True, layout="constrained"
    )
    for (what, names), axis in zip(groups.items(), axes):
        for number, split in enumerate(split for split in tables if any(key[0] == split for key in gains)):
            places = {name: place + 0.4 * number - 0.2 for place, name in enumerate(names)}
            known = {name: gains[split, what, name] for name in names if (split, what, name) in gains}
            look = style.bar(2 * number)
            axis.barh([places[name] for name in known], known.values(), 0.38, label=f"test-{split}", **look)
            for name, gain in known.items():
                style.finish_bar(axis, places[name], gain, intervals.get((split, what, name)), f"{gain:.1f}")
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set(title=f"by {'data set' if what == 'data' else what}", yticks=range(len(names)))
        axis.set(yticklabels=labels[what], ylim=(len(names) - 0.45, -0.55))
        axis.grid(axis="y", visible=False)
        axis.margins(x=0.15)
        axis.locator_params(axis="x", nbins=6)
    low, high = axes[0].get_xlim()
    axes[0].set_xlim(min(low, -1), max(high, 1))  # no gain at all is drawn as none
    axes[2].set_xlabel("relative WER gain of mid-training, %")
    style.legend(figure, *axes[0].get_legend_handles_labels())
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
    style.legend(figure, handles, names, loc="outside lower center", handletextpad=0.1, fontsize=7.5)
    return figure
