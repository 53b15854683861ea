"""Make the tables of comparisons between encoders, and of scores by speaker."""

import re

from mmpt.superb.report.collect import Collection
from mmpt.superb.report.rows import Cell
from mmpt.superb.report.tables import Table
from mmpt.superb.statistics.metrics import is_better, title
from mmpt.superb.statistics.wording import format_p, signed, verdict

NOTE = (
    "Paired tests, clustered by speaker. B − A: in points, with its 95 % interval. p Holm: corrected for all "
    "comparisons of the run; told apart: below 0.05. Could show: the smallest difference that the test finds in four "
    "cases of five."
)
MCNEMAR = "McNemar's test takes all clips as independent, which those of one speaker are not."


def comparison_tables(found: Collection) -> list[Table]:
    """Return a table for each pair of encoders that a run compared."""
    tables = []
    for path, rows in found.comparisons.items():
        of_run = f" ({path})" if len(found.comparisons) > 1 else ""
        for baseline, encoder in dict.fromkeys((row["baseline"], row["encoder"]) for row in rows):
            own = [row for row in rows if (row["baseline"], row["encoder"]) == (baseline, encoder)]
            tables.append(_pair_table(f"B: {encoder}, A: {baseline}{of_run}", own))
            tables[-1].lead = f"{verdict(own, baseline, encoder, with_sizes=False)}."
    return tables


def comparison_note(found: Collection) -> str:
    """Return what the columns of the tables mean."""
    has_mcnemar = any(row.get("mcnemar_p") is not None for row in found.all_comparisons())
    return f"{NOTE} {MCNEMAR}" if has_mcnemar else NOTE


def _pair_table(heading: str, rows: list[dict]) -> Table:
    """Return a line for each figure, grey where the two are not told apart. `rows`: of results.json."""
    has_mcnemar = any(row.get("mcnemar_p") is not None for row in rows)
    heads = ["test, %", "B is", "B − A", "p Holm", "could show", "p", *(["McNemar"] if has_mcnemar else [])]
    table = Table(heading, heads, words=2)
    for number, row in enumerate(rows):
        better = "better" if is_better(row["metric"], row["difference"]) else "worse"
        mcnemar = row.get("mcnemar_p")
        table.rows.append(
            [
                title(row["task"], row["split"], row["metric"]),
                better if row["told_apart"] else "not told\napart",
                f"{signed(row['difference'])}\n({signed(row['low'])} to {signed(row['high'])})",
                format_p(row["p_corrected"]),
                "" if row["smallest"] is None else f"{100 * row['smallest']:.1f}",
                format_p(row["p"]),
                *(["" if mcnemar is None else format_p(mcnemar)] if has_mcnemar else []),
            ]
        )
        table.grey |= set() if row["told_apart"] else {number}
    return table


def speaker_tables(found: Collection) -> list[Table]:
    """Return speaker × encoder for each figure that is known by speaker, mean over head seeds."""
    return [table for cell in found.cells() if (table := _speaker_table(found, cell)).rows]


def _speaker_table(found: Collection, cell: Cell) -> Table:
    rows = [row for row in found.rows if cell in row.scores and row.scores[cell].by_speaker]
    known = [row.scores[cell].by_speaker for row in rows]
    speakers = sorted({name for by_speaker in known for name in by_speaker}, key=_natural)
    table = Table(f"{title(*cell)}, {len(speakers)} speakers", ["speaker", *(row.name for row in rows)], folded=True)
    for name in speakers:
        texts = ["" if name not in by_speaker else f"{by_speaker[name]:.1f}" for by_speaker in known]
        table.rows.append([name, *texts])
    return table


def _natural(name: str) -> list[str | int]:
    """Return a key that sorts voice2 before voice10."""
    return [int(part) if place % 2 else part.lower() for place, part in enumerate(re.split(r"(\d+)", name))]
