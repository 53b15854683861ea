"""What a check of data finds, and how it is printed."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)
SHOWN = 3  # of many like items


@dataclass(frozen=True)
class Finding:
    """One line of the list.

    Args:
        level: ERROR, WARNING or NOTE.
        task: by our name.
        text: what, where, what to do.
    """

    level: str
    task: str
    text: str


def count_and_name(items: Iterable, what: str) -> str:
    """Return a text about like items, of which it names the first few; empty for no item."""
    items = list(items)
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return f"{len(items):,} {what}: {', '.join(map(str, items[:SHOWN]))}{more}" if items else ""


def several(level: str, task: str, items: Iterable, what: str) -> list[Finding]:
    """Return one finding for any number of like items; none for no item."""
    text = count_and_name(items, what)
    return [Finding(level, task, text)] if text else []


def print_findings(findings: list[Finding]) -> bool:
    """Print the findings, errors first and to standard error; return True if there is an error."""
    for finding in sorted(findings, key=lambda finding: LEVELS.index(finding.level)):
        stream = sys.stderr if finding.level == ERROR else sys.stdout
        print(f"{finding.level}: {finding.task}: {finding.text}", file=stream)
    return any(finding.level == ERROR for finding in findings)
