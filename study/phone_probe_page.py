"""The result of a probe for phones as a table in Markdown, and as a figure."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmpt.superb.report import style
from mmpt.superb.report.style import pyplot
from mmpt.superb.statistics.wording import format_p, numbers, signed
from mmpt.superb.text_table import text_table

CAPTION = "Phone error rate of a linear head on each layer alone; bands: 95 %, over speakers"


def probe_text(content: dict) -> str:
    """Return the table, layer × encoder, and a sentence for each comparison. `content`: of `phone_probe.probe`."""
    by_place = {(row["encoder"], row["layer"]): row for row in content["layers"]}
    names = list(dict.fromkeys(name for name, _ in by_place))
    table = [["PER ↓, % (95 %)", *names]]
    for layer in sorted({layer for _, layer in by_place}):
        table.append([f"layer {layer}", *(_cell(by_place.get((name, layer))) for name in names)])
    rates = numbers(
        sorted({float(rate) for rate in content["rates"] if rate} or {row["lr"] for row in content["layers"]})
    )
    found = f"chosen on dev from {rates}" if len(content["rates"]) > 1 else f"{rates} for all"
    first = content["layers"][0]
    lines = [
        text_table(table),
        "",
        f"{CAPTION} ({first['utterances']} utterances; {first['method']}).",
        f"Heads of {content['steps']} steps; learning rate {found}.",
        *map(_sentence, content["comparisons"]),
    ]
    return "\n".join(lines) + "\n"


def probe_figure(layers: Sequence[dict]) -> Figure:
    """Draw PER by layer, a line for each encoder; an encoder of a single layer is a line across. `layers`: of JSON."""
    names = list(dict.fromkeys(row["encoder"] for row in layers))
    figure, axes = pyplot.subplots(figsize=(style.WIDTH, 3.4), layout="constrained")
    last = max(row["layer"] for row in layers)
    for number, name in enumerate(names):
        rows = [row for row in layers if row["encoder"] == name]
        if len(rows) == 1:
            rows = [rows[0] | {"layer": layer} for layer in (0, last)]
        places = [row["layer"] for row in rows]
        low, value, high = ([100 * row[key] for row in rows] for key in ("low", "per", "high"))
        look = style.line(number)
        axes.plot(places, value, label=name, **look)
        axes.fill_between(places, low, high, color=look["color"], alpha=0.2, linewidth=0)
    axes.set(xlabel="layer (0: input of the first block)", ylabel="PER, % (lower is better)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend(figure, *axes.get_legend_handles_labels())
    return figure


def _cell(row: dict | None) -> str:
    return "-" if row is None else f"{100 * row['per']:.1f} ({100 * row['low']:.1f}–{100 * row['high']:.1f})"


def _sentence(row: dict) -> str:
    """Return the comparison of two encoders at the layers that are best on dev."""
    before, after = (f"{name} (layer {layer})" for name, layer in zip((row["baseline"], row["encoder"]), row["layers"]))
    ends = f"{signed(row['low'])} to {signed(row['high'])}"
    verdict = "" if row["told_apart"] else ": not told apart"
    p = format_p(row["p_corrected"])
    return f"{after} against {before}: {signed(row['difference'])} points ({ends}), p after Holm {p}{verdict}."
