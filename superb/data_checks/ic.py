"""Fluent Speech Commands for IC. Labels are those of the training table, and S3PRL converts nothing."""

import csv
from pathlib import Path

from mmpt.superb.data_checks.findings import ERROR, Finding, several
from mmpt.superb.data_checks.published import check_counts
from mmpt.superb.data_checks.recordings import check_format, check_readable, read_headers

SLOTS = ("action", "object", "location")


def check(config: dict, hop: int | None) -> list[Finding]:
    """Check the three tables, their values and their recordings."""
    del hop
    root = Path(config["downstream_expert"]["datarc"]["file_path"])
    found: list[Finding] = []
    counts: dict[str, int] = {}
    files: list[Path] = []
    training_values: dict[str, set[str]] = {}
    for split in ("train", "valid", "test"):
        table = root / "data" / f"{split}_data.csv"
        try:
            rows = list(csv.DictReader(table.open(encoding="utf-8", newline="")))
        except OSError as error:
            found.append(Finding(ERROR, "ic", f"{table}: {error.strerror}"))
            continue
        missing = [name for name in ("path", *SLOTS) if not rows or name not in rows[0]]
        if missing:
            what = f"no column {', '.join(missing)}" if rows else "holds no utterance"
            found.append(Finding(ERROR, "ic", f"{table}: {what}"))
            continue
        counts[f"ic {split}"] = len(rows)
        files += [root / row["path"] for row in rows]
        for slot in SLOTS:
            values = {row[slot] for row in rows}
            unseen = sorted(values - training_values.setdefault(slot, values))
            what = f"values of '{slot}' in {table.name} that training does not have (S3PRL stops at them)"
            found += several(ERROR, "ic", unseen, what)
    headers = read_headers(files, "headers of ic")
    return found + check_readable("ic", headers) + check_format("ic", headers) + check_counts("ic", counts)
