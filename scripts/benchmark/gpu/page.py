"""The figures of a check as tables: an HTML page that needs no other file, and a text for the terminal."""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmpt.scripts.benchmark.gpu.aims import aims_of
from mmpt.scripts.benchmark.gpu.record import Figures, Record
from mmpt.upstream.files import write_text

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; border-bottom: 2px solid; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .55rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #8886; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.name { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
"""
Table = tuple[str, list[str], list[list[str]]]  # title, heads, rows


def tables(record: Record) -> list[Table]:
    """Return all tables: the machine, the aims, one for each item, its lists, and what did not run."""
    found: list[Table] = [("Machine", ["what", "value"], [[words(k), show(v)] for k, v in record.about.items()])]
    if aims := aims_of(record):
        found.append(("Aims", ["what", "measured", "aim", ""], aims))
    for item, parts in record.items.items():
        rows = [row for part, figures in parts.items() for row in rows_of(part, figures)]
        found += grouped(words(item).capitalize(), rows)
        found += [table for part, figures in parts.items() for table in lists_of(part, figures)]
    if record.not_run:
        found.append(("Not run", ["part", "reason"], [[name, why] for name, why in record.not_run.items()]))
    return found


def grouped(title: str, rows: list[tuple[str, Figures]]) -> Iterator[Table]:
    """Yield a table for each set of figures that rows have in common."""
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for name, figures in rows:
        if figures:
            groups.setdefault(tuple(figures), []).append([name, *map(show, figures.values())])
    for names, cells in groups.items():
        yield title, ["", *map(words, names)], cells


def rows_of(part: str, figures: Figures) -> Iterator[tuple[str, Figures]]:
    """Yield a part's own numbers as a row, and a row for each dictionary in it."""
    own = {k: v for k, v in figures.items() if not isinstance(v, (dict, list))}
    yield part, own
    for name, inner in figures.items():
        if isinstance(inner, dict):
            yield f"{part}, {words(name)}", inner


def lists_of(part: str, figures: Figures) -> Iterator[Table]:
    """Yield a table for each list of dictionaries in a part."""
    for name, rows in figures.items():
        if isinstance(rows, list) and rows:
            heads = list(rows[0])
            yield (
                f"{words(name).capitalize()}: {part}",
                [words(h) for h in heads],
                [[show(row[head]) for head in heads] for row in rows],
            )


def words(name: str) -> str:
    """Return a key as a heading: units are their usual signs."""
    for key, sign in {"_percent": ", %", "_gb": ", GB", "_ms": ", ms", "_per_s": " a second"}.items():
        name = name.replace(key, sign) if name.endswith(key) else name
    return name.replace("_", " ")


def show(value: Any) -> str:
    """Return a figure with three digits, or as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def write_page(record: Record, file: Path) -> None:
    """Write the page, whole or not at all."""
    title = f"GPU check: {record.about['card']}"
    parts = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>',
        f"<h1>{html.escape(title)}</h1>",
    ]
    for name, heads, rows in tables(record):
        head = "".join(f"<th>{html.escape(one)}</th>" for one in heads)
        body = "\n".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
        parts.append(f"<h2>{html.escape(name)}</h2>\n<div><table><tr>{head}</tr>\n{body}\n</table></div>")
    write_text(file, "\n".join([*parts, "</body></html>\n"]))


def cell(text: str) -> str:
    """Return a table's cell; a long text may break."""
    return f"<td{' class=name' if len(text) > 40 else ''}>{html.escape(text)}</td>"


def printed(record: Record) -> str:
    """Return all tables but those of lists as text."""
    blocks = []
    for name, heads, rows in tables(record):
        if ":" in name:
            continue
        grid = [heads, *rows]
        widths = [max(len(row[i]) for row in grid) for i in range(len(heads))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in grid]
        blocks.append("\n".join([f"\n{name}", *(f"  {line}" for line in lines)]))
    return "\n".join(blocks)
