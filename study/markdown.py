"""A study's page as Markdown, for documentation and the README."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmpt.superb.report.tables import Table
from mmpt.superb.text_table import text_table

if TYPE_CHECKING:
    from mmpt.study.page import Content

MARKS = {"better": "**{}**", "grey": "{} ≈"}


def as_markdown(content: Content) -> str:
    """Return the page, one sentence or table row a line. Figures are linked where the page has them."""
    parts = [f"# {content.title}", "\n".join(content.takeaway)]
    for aim in content.aims:
        parts += [f"## {aim.verdict.capitalize()}: {aim.title}"]
        parts += [part for table in aim.tables for part in (table.lead, markdown_table(table)) if part]
        parts += [aim.note] if aim.note else []
    parts += ["## Scores", markdown_table(content.overview), *content.score_notes]
    parts += [f"![{figure.caption}](page/figures/{figure.name}.png)" for figure in content.figures]
    parts += ["## All comparisons", _bullets(content.comparisons)] if content.comparisons else []
    parts += ["## What was run"]
    for table in content.made:
        parts += [markdown_table(table), table.note]
    if content.cut:
        parts += ["Cut, to fit the scale:", _bullets(content.cut)]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    """Return a table's text, a line a row; bold where it is better, with "≈" where it is not told apart."""
    rows = [table.heads]
    for number, row in enumerate(table.rows):
        cells = [" ".join(cell.split("\n")).replace("|", "\\|") for cell in row]
        rows.append(
            [MARKS.get(table.marks.get((number, column), ""), "{}").format(cell) for column, cell in enumerate(cells)]
        )
    return text_table(rows)


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
