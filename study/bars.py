"""Draw changes as horizontal bars with their intervals: a panel for each task, with a scale of its own."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from mmpt.superb.report import style
from mmpt.superb.report.changes import Change
from mmpt.superb.report.style import pyplot

BAR = 0.155  # inches of a figure's height
PANEL = 0.42  # inches for a panel's title and scale
GAP = 0.6  # of a bar, between groups
LETTERS = 34  # of a name in one line


@dataclass(frozen=True)
class Bar:
    """A bar.

    Args:
        name: at its left.
        change: its length, in per cent; None if it is not known yet.
        group: 0, 1 …: bars of one group have one look; a gap follows the group.
    """

    name: str
    change: Change | None
    group: int = 0


def draw(panels: dict[str, list[Bar]], groups: list[str], label: str) -> Figure | None:
    """Draw the panels below one another; None if no bar has a length.

    Args:
        panels: title → its bars, from above. All panels have bars of the same names.
        groups: names in the legend.
        label: under the last panel.
    """
    panels = {title: bars for title, bars in panels.items() if any(bar.change for bar in bars)}
    if not panels:
        return None
    bars = next(iter(panels.values()))
    height = PANEL + BAR * (len(bars) + GAP * bars[-1].group)
    figure, axes = pyplot.subplots(
        len(panels),
        1,
        figsize=(style.WIDTH, 0.5 + 0.2 * ((len(groups) + 1) // 2) + height * len(panels)),
        squeeze=False,
        layout=ConstrainedLayoutEngine(h_pad=0.07),
    )
    for (title, group), axis in zip(panels.items(), axes[:, 0]):
        _draw_panel(axis, group)
        axis.set_title(title)
    axes[-1, 0].set_xlabel(label)
    used = sorted({bar.group for bar in bars})
    handles = [pyplot.Rectangle((0, 0), 1, 1, facecolor=look["color"], **_edge(look)) for look in map(_look, used)]
    if len(used) > 1:
        style.legend(figure, handles, [groups[number] for number in used])
    return figure


def _draw_panel(axis: Axes, bars: list[Bar]) -> None:
    places = [number + GAP * bar.group for number, bar in enumerate(bars)]
    for place, bar in zip(places, bars):
        if bar.change is None:
            axis.annotate("not scored yet", (0, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
            continue
        axis.barh(place, bar.change.value, 0.85, **_look(bar.group))
        style.finish_bar(
            axis, place, bar.change.value, bar.change.interval, f"{round(bar.change.value):+d}".replace("-", "−")
        )
    axis.axvline(0, color="black", linewidth=0.8)
    axis.margins(x=0.14)
    axis.locator_params(axis="x", nbins=6)
    axis.set(yticks=places, ylim=(places[-1] + 0.7, -0.7))
    axis.set_yticklabels([style.wrapped(bar.name, LETTERS) for bar in bars], fontsize=8)
    axis.grid(axis="y", visible=False)


def _look(group: int) -> dict:
    return style.bar((1, 2, 3)[group % 3])


def _edge(look: dict) -> dict:
    return {name: value for name, value in look.items() if name != "color"}
