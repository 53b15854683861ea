"""What comparisons show, in sentences and in a table."""

from collections.abc import Iterable, Sequence

from mmpt.superb.statistics.metrics import ITEMS, is_better, title
from mmpt.superb.statistics.pairs import Pair
from mmpt.superb.text_table import text_table


def verdict(rows: Sequence[dict], baseline: str, encoder: str, with_sizes: bool = True) -> str:
    """Return on which tasks one encoder is better than another, worse, or not told apart, in one sentence.

    Args:
        rows: of `pairs.compare_pairs`, those of one pair.
        baseline: its name.
        encoder: likewise.
        with_sizes: name the number of test items where they are not told apart.
    """
    apart = [row for row in rows if row["told_apart"]]
    better = [row["task"].upper() for row in apart if is_better(row["metric"], row["difference"])]
    worse = [row["task"].upper() for row in apart if not is_better(row["metric"], row["difference"])]
    equal = [
        row["task"].upper() + (f" ({row['items']} {ITEMS[row['task']]})" if with_sizes else "")
        for row in rows
        if not row["told_apart"]
    ]
    parts = []
    if better:
        parts.append(f"{encoder} is better than {baseline} on {listed(better)}")
    if worse:
        parts.append(
            f"worse on {listed(worse)}" if better else f"{encoder} is worse than {baseline} on {listed(worse)}"
        )
    if equal and apart:
        parts.append(f"they cannot be told apart on {listed(equal)}")
    elif equal:
        parts.append(f"{encoder} and {baseline} cannot be told apart on {listed(equal)}")
    return "; ".join(parts)


def comparison_table(rows: Sequence[dict]) -> str:
    """Return a line for each figure of two encoders, A and B. `rows`: of `pairs`; "-" where a row was not corrected."""
    table = [["test, %", "A", "B", "B − A (95 %)", "p", "p Holm", "McNemar", "could show"]]
    for row in rows:
        a, b = (f"{100 * score:.1f}" for score in row["scores"])
        difference = f"{signed(row['difference'])} ({signed(row['low'])} to {signed(row['high'])})"
        p_values = [format_p(row.get(name)) for name in ("p", "p_corrected", "mcnemar_p")]
        smallest = "-" if row["smallest"] is None else f"{100 * row['smallest']:.1f}"
        table.append([title(row["task"], row["split"], row["metric"]), a, b, difference, *p_values, smallest])
    return text_table(table)


def rate_notes(pair: Pair, tasks: Sequence[str]) -> list[str]:
    """Return how the learning rates of two encoders were found; a warning where it was not alike."""
    tasks_of: dict[tuple[str, str], list[str]] = {}
    for task in tasks:
        grids = (numbers(pair[0].rates(task)), numbers(pair[1].rates(task)))
        tasks_of.setdefault(grids, []).append(task.upper())
    lines = []
    for (first, second), names in tasks_of.items():
        on_tasks = f"on {listed(names)}"
        if first != second:
            what = f"no common grid of learning rates {on_tasks}: {first} for {pair[0]}, {second} for {pair[1]}"
            lines.append(f"Warning: {what}.")
        elif "," in first:
            lines.append(f"Learning rates {on_tasks}: chosen on dev from {first}, the same grid for both.")
        else:
            what = f"{first} for both, not chosen on dev: that favours the encoder which it suits"
            lines.append(f"Warning: a fixed learning rate {on_tasks}: {what}.")
    return lines


def training_notes(pair: Pair, tasks: Sequence[str]) -> list[str]:
    """Return a warning for each task whose heads were not trained for as many steps."""
    lines = []
    for task in tasks:
        first, second = (sorted({job.get("steps", 0) for job in encoder.jobs(task)}) for encoder in pair)
        if first != second:
            steps = f"{numbers(first)} steps for {pair[0]}, {numbers(second)} for {pair[1]}"
            lines.append(f"Warning: {task.upper()}: heads were not trained alike: {steps}.")
    return lines


def pair_lines(rows: Sequence[dict]) -> list[str]:
    """Return a sentence for each pair of encoders that a run compared. `rows`: `comparisons` of results.json."""
    pairs = dict.fromkeys((row["baseline"], row["encoder"]) for row in rows)
    of_pairs = {pair: [row for row in rows if (row["baseline"], row["encoder"]) == pair] for pair in pairs}
    return [verdict(group, *pair, with_sizes=False) for pair, group in of_pairs.items()]


def listed(names: Iterable[str]) -> str:
    """Return names as in "KS, PR and ASR"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def numbers(values: Sequence[float]) -> str:
    """Return numbers as in "0.001, 0.01"."""
    return ", ".join(f"{value:g}" for value in values) or "unknown"


def format_p(p: float | None) -> str:
    """Return a p-value with three decimals; "-" for none."""
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def signed(share: float) -> str:
    """Return a difference in points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "−")
