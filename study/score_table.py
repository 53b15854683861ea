"""Table 1 of a study: scores by pre-training, mid-training and task."""

from dataclasses import dataclass, field

from mmpt.study.names import language_name, method_name, seed_name
from mmpt.study.pairs import of_kind
from mmpt.study.record import MadeEncoder
from mmpt.study.scored import COUNTED, ScoredStudy
from mmpt.superb.report.notes import interval_note, rates_note
from mmpt.superb.report.rows import Cell
from mmpt.superb.report.tables import Table
from mmpt.superb.statistics.metrics import title
from mmpt.superb.text_table import NO_BEST

MISSING = "–"


@dataclass
class Line:
    """A row of table 1: one way of pre-training. `encoders`: language of mid-training (None without) → encoder."""

    name: str
    encoders: dict[str | None, MadeEncoder] = field(default_factory=dict)


def lines(scored: ScoredStudy) -> list[Line]:
    """Return the rows: ways of pre-training, then FBANK, the control and the user's encoders."""
    found: dict[tuple[str, int], Line] = {}
    for encoder in of_kind(scored.encoders, "untrained", "pretrained", "midtrained"):
        name = method_name(encoder)
        line = found.setdefault((name, encoder.seed), Line(name + seed_name(encoder, scored.encoders)))
        line.encoders[encoder.language] = encoder
    methods = list(dict.fromkeys(method for method, _ in found))
    trained = [found[key] for key in sorted(found, key=lambda key: methods.index(key[0]))]
    return trained + [Line(scored.name(e), {None: e}) for e in of_kind(scored.encoders, "fbank", "longer", "also")]


def score_tables(scored: ScoredStudy) -> list[Table]:
    """Return a table for each figure, pre-training × mid-training, and one of BLEU."""
    known = lines(scored)
    languages = list(dict.fromkeys(language for line in known for language in line.encoders))
    heads = [language_name(language) for language in languages]
    tables = []
    for cell in scored.cells():
        table = Table("", [f"{title(*cell)}, %", *heads])
        for line in known:
            table.rows.append([line.name])
            for column, language in enumerate(languages, 1):
                if language in line.encoders:
                    mark = _mark(scored, line.encoders[language], cell)
                    table.marks |= {(len(table.rows) - 1, column): mark} if mark else {}
                text = score_text(scored, line.encoders[language], cell) if language in line.encoders else ""
                table.rows[-1].append(text)
        tables.append(table)
    return tables + _bleu_tables(known, [language for language in languages if language])


def _bleu_tables(known: list[Line], languages: list[str]) -> list[Table]:
    translating = [line for line in known if any(language in line.encoders for language in languages)]
    table = Table("", ["Translation, BLEU ↑", *map(language_name, languages)])
    for line in translating:
        texts = [bleu_text(line.encoders[one]) if one in line.encoders else "" for one in languages]
        table.rows.append([line.name, *texts])
    return [table] if table.rows else []


def overview_table(scored: ScoredStudy) -> Table:
    """Return encoder × figure in one table: those that comparisons count, ASR's word errors, and BLEU."""
    shown = [cell for cell in scored.cells() if cell[:2] in {counted[:2] for counted in COUNTED.values()}]
    table = Table("", ["test, %", *(title(*cell) for cell in shown), "BLEU ↑"])
    for line in lines(scored):
        for encoder in line.encoders.values():
            for column, cell in enumerate(shown, 1):
                mark = _mark(scored, encoder, cell)
                table.marks |= {(len(table.rows), column): mark} if mark else {}
            texts = [score_text(scored, encoder, cell) for cell in shown]
            table.rows.append([scored.name(encoder), *texts, bleu_text(encoder)])
    return table


def score_text(scored: ScoredStudy, encoder: MadeEncoder, cell: Cell) -> str:
    """Return a score with its interval; a dash if it is not there yet."""
    score = scored.rows[encoder.name].scores.get(cell) if encoder.name in scored.rows else None
    if score is None:
        return MISSING
    interval = "\n({:.1f}–{:.1f})".format(*score.interval) if score.interval else ""
    return f"{score.mean:.1f}{'' if score.is_best_on_dev else '*'}{interval}"


def bleu_text(encoder: MadeEncoder) -> str:
    """Return BLEU with its interval; a dash if it is not there yet, nothing where there is none to have."""
    if encoder.kind != "midtrained":
        return ""
    bleu = encoder.bleu
    return f"{bleu.value:.1f}\n({bleu.low:.1f}–{bleu.high:.1f})" if bleu else MISSING


def score_notes(scored: ScoredStudy) -> list[str]:
    """Return what a reader of the table must know, a sentence or more each."""
    total = len(scored.comparisons)
    notes = [
        *scored.found.notes,
        "Bold: better than the untrained encoder. Grey, or with ≈: not told apart from it. By paired tests at 5 %, "
        f"corrected by Holm over all {total} comparisons of the study. FBANK, the control and encoders of --also are "
        "not compared with it, nor are ASR's word errors and BLEU.",
        interval_note(scored.found),
        rates_note(scored.found),
    ]
    if not all(score.is_best_on_dev for row in scored.found.rows for score in row.scores.values()):
        notes.append(f"* {NO_BEST}.")
    if missing := scored.missing():
        notes.append(f"{MISSING}: not scored yet (missing scores: {missing}).")
    return [note for note in notes if note]


def _mark(scored: ScoredStudy, encoder: MadeEncoder, cell: Cell) -> str:
    """Return "better" or "grey" for a cell, or nothing: worse than the untrained encoder, or not compared with it."""
    if cell != COUNTED[cell[0]]:
        return ""
    for untrained in of_kind(scored.encoders, "untrained")[:1]:
        found = scored.difference(cell[0], untrained.name, encoder.name)
        if found is not None:
            return "better" if found.is_shown else "" if found.told_apart else "grey"
    return ""
