"""Make the tables of a report, as text cells. A cell without a figure stays empty."""

from dataclasses import dataclass, field

from mmpt.superb.report.collect import Collection
from mmpt.superb.report.notes import interval_note, rates_note
from mmpt.superb.report.rows import EncoderRow, Score
from mmpt.superb.report.word_errors import PRE, SPLITS, WordErrors, relative_gain
from mmpt.superb.scoring.board import FIVE, published
from mmpt.superb.statistics.metrics import title
from mmpt.superb.text_table import ARROWS, NO_BEST
from mmpt.upstream.s3prl_runner.tasks import superb_task


@dataclass
class Table:
    """A table.

    Args:
        title: above it.
        heads: of the columns.
        rows: of cells.
        marked: numbers of the rows that stand out.
        grey: numbers of the rows that step back.
        marks: row and column of a cell → "better", in bold, or "grey".
        note: a line under it.
        lead: a line above it.
        words: how many of the first columns hold words.
        folded: shown only if the reader opens it.
    """

    title: str
    heads: list[str]
    rows: list[list[str]] = field(default_factory=list)
    marked: set[int] = field(default_factory=set)
    grey: set[int] = field(default_factory=set)
    marks: dict[tuple[int, int], str] = field(default_factory=dict)
    note: str = ""
    lead: str = ""
    words: int = 1
    folded: bool = False


def superb_table(found: Collection) -> Table:
    """Return encoder × figure: mean ± standard deviation over head seeds, and under it the 95 % interval."""
    cells = found.cells()
    table = Table("SUPERB tasks, test, %", ["encoder", *(title(*cell) for cell in cells)])
    for row in found.rows:
        texts = [_score(row.scores.get(cell)) for cell in cells]
        table.rows.append([row.name + (" (fine-tuned)" if row.fine_tuned else ""), *texts])
    scores = [score for row in found.rows for score in row.scores.values()]
    notes = []
    if any(len(score.values) > 1 for score in scores):
        notes.append("± standard deviation over head seeds: the encoders were trained once.")
    notes += [note for note in (interval_note(found), rates_note(found)) if note]
    if not all(score.is_best_on_dev for score in scores):
        notes.append(f"* {NO_BEST}.")
    table.note = " ".join(notes)
    return table


def _score(score: Score | None) -> str:
    if score is None:
        return ""
    interval = "\n({:.1f}–{:.1f})".format(*score.interval) if score.interval else ""
    return _figure(score.mean, score.spread) + ("" if score.is_best_on_dev else "*") + interval


def word_error_table(tables: dict[str, WordErrors], heading: str, scratch: str) -> Table | None:
    """Return the paper's table 1: method × data set × language, with changes; None if empty.

    Changes are against scratch, and against pre-training only.

    Args:
        tables: test set → word errors.
        heading: of the table.
        scratch: a remark about the encoder without any pre-training.
    """
    keys = list(dict.fromkeys(key for split in SPLITS for key in tables[split].cells))
    if not keys and all(tables[split].scratch is None for split in SPLITS):
        return None
    heads = ["method", "data", "mid-trained"] + [
        f"{what} {split}" for what in ("WER", "vs scratch", "vs pre-training only") for split in SPLITS
    ]
    note = (
        "WER in per cent, lower is better; changes are relative, in per cent, and positive where fewer words are wrong."
    )
    table = Table(heading, heads, note=note, words=3)
    if any(tables[split].scratch is not None for split in SPLITS):
        table.rows.append(
            ["scratch", scratch, ""]
            + [_figure(tables[s].scratch, tables[s].spreads.get(None), 2) for s in SPLITS]
            + [""] * 4
        )
    for key in sorted(keys, key=lambda key: ([k[:2] for k in keys].index(key[:2]), key[2] is not PRE)):
        method, data, language = key
        before = (method, data, PRE)
        figures = [_figure(tables[s].cells.get(key), tables[s].spreads.get(key), 2) for s in SPLITS]
        against_scratch = [_change(relative_gain(tables[s].cells.get(key), tables[s].scratch)) for s in SPLITS]
        against_before = [
            _change(relative_gain(tables[s].cells.get(key), tables[s].cells.get(before))) if language is not PRE else ""
            for s in SPLITS
        ]
        table.rows.append(
            [method, data, "no" if language is PRE else language, *figures, *against_scratch, *against_before]
        )
    return table


def averages_table(tables: dict[str, WordErrors]) -> Table | None:
    """Return what the paper derives from its table 1; None if nothing can be derived."""
    clean = tables["clean"]
    both = [tables[split] for split in SPLITS]
    texts = [["mean without mid-training, WER", *(_plain(t.mean()) for t in both)]]
    for language in clean.languages():
        gains = (t.gain(language=language) for t in both)
        texts.append([f"gain of mid-training on {language}, %", *map(_change, gains)])
    for data in clean.data_sets():
        means = (t.mean(data=data) for t in both)
        texts.append([f"data set {data}, mean without mid-training, WER", *map(_plain, means)])
    for method in clean.methods():
        means = (t.method_row(method) for t in both)
        texts.append([f"method {method}, mean of without and with mid-training, WER", *map(_plain, means)])
    texts = [row for row in texts if any(row[1:])]
    note = "A gain is a ratio of means over the encoders that were scored with and without mid-training."
    return Table("Averages", ["", *(f"test-{split}" for split in SPLITS)], texts, note=note) if texts else None


def board_table(rows: list[EncoderRow]) -> Table | None:
    """Return ours among the leaderboard's rows, best first; None if none of ours has a superb_s."""
    entries = []
    for theirs in published():
        figures = [theirs.params, theirs.gmacs, *(theirs.scores[task] for task in FIVE)]
        entries.append((theirs.superb_s, False, [theirs.name, *map(_plain, figures)]))
    for row in rows:
        if row.board and row.board["superb_s"] is not None:
            size = [_plain(row.cost["parameters"] / 1e6), _plain((row.macs or 0) / 1e9)] if row.cost else ["", ""]
            scores = [_plain(100 * row.board["scores"][task]) for task in FIVE]
            name = f"{row.name} (head seed {row.board['seed']})"
            entries.append((row.board["superb_s"], True, [name, *size, *scores]))
    if not any(is_ours for _, is_ours, _ in entries):
        return None
    entries.sort(key=lambda entry: -entry[0])
    metrics = [f"{task.upper()} {superb_task(task).metric} {ARROWS[superb_task(task).metric]}" for task in FIVE]
    table = Table("Among the leaderboard's published rows", ["upstream", "params, M", "GMACs", *metrics, "superb_s"])
    for number, (score, is_ours, texts) in enumerate(entries):
        table.rows.append([*texts, f"{score:.1f}"])
        table.marked |= {number} if is_ours else set()
    table.note = (
        "Ours by the server's rules (SD: the best on test of ten settings). A place among these rows means something "
        "only for the published test sets and settings. FBANK's superb_s is 0, by the board's own KS and IC figures."
    )
    return table


def _figure(value: float | None, spread: float | None, digits: int = 1) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread is not None else "")


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _change(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"
