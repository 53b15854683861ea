"""Markdown tables that line up in a terminal. Imports nothing."""

ARROWS = {"acc": "↑", "per": "↓", "der": "↓", "wer": "↓", "cer": "↓"}  # metric → which way is better
# Stands under a table with a mark "*".
NO_BEST = "the last checkpoint: S3PRL wrote no best one (ASR: dev WER never under 100 %; KS, IC: no dev item right)"


def text_table(rows: list[list[str]]) -> str:
    """Return the rows, the first of which are the heads, as a Markdown table with columns of even width."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
