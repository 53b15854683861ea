"""A study's aims, each as met or missed, with the figures and p-values that decide it."""

from dataclasses import dataclass, field

from mmpt.study.names import language_name, method_name, seed_name
from mmpt.study.pairs import control_pairs, first_language, main_chains, of_kind
from mmpt.study.record import Bleu, MadeEncoder
from mmpt.study.scored import Difference, ScoredStudy
from mmpt.superb.report.tables import Table
from mmpt.superb.statistics.holm import LEVEL, holm
from mmpt.superb.statistics.wording import format_p, listed

WANTED = 4  # of the five tasks
ON_TASKS = "on at least four of five tasks"
LEAST_BLEU = 1.0  # below, a few word pairs decide, and a test may tell 0.04 from 0.00
COLUMNS = "By how many points a score is better, and p after Holm. Mid: mid-trained; pre: pre-trained only."
MET, MISSED, OPEN, UNTESTED = "met", "missed", "not known yet", "not tested"


@dataclass
class Aim:
    """An aim.

    Args:
        title: what should be the case.
        results: name of an encoder, or of a pair → met, missed, not known yet, or not tested: the plan has fewer tasks.
        tables: what decides it.
        note: how to read the tables.
    """

    title: str
    results: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return one verdict for all its results."""
        found = set(self.results.values())
        if len(found) == 1:
            return found.pop()
        met = sum(result == MET for result in self.results.values())
        return f"met by {met} of {len(self.results)}" if met else MISSED if OPEN not in found else OPEN


def aims(scored: ScoredStudy) -> list[Aim]:
    """Return the aims that the study's encoders can answer."""
    return [aim for aim in (chain_aim(scored), control_aim(scored), translation_aim(scored)) if aim.results]


def chain_aim(scored: ScoredStudy) -> Aim:
    """Return the aim that each stage helps: mid-trained above pre-trained above untrained and FBANK."""
    aim = Aim(
        f"Mid-trained above pre-trained, and pre-trained above untrained and FBANK, {ON_TASKS}",
        note=f"{COLUMNS} A task counts if the first three columns all show a gain. The last two are for information.",
    )
    untrained, fbank = (next(iter(of_kind(scored.encoders, kind)), None) for kind in ("untrained", "fbank"))
    if untrained is None or fbank is None:
        return aim
    for before, after in main_chains(scored.encoders):
        links = {
            "mid over pre": (before, after),
            "pre over untrained": (untrained, before),
            "pre over FBANK": (fbank, before),
            "mid over untrained": (untrained, after),
            "mid over FBANK": (fbank, after),
        }
        _add(scored, aim, method_name(before) + seed_name(before, scored.encoders), links, deciding=3)
    return aim


def control_aim(scored: ScoredStudy) -> Aim:
    """Return the aim that mid-training is more than training for longer."""
    aim = Aim(f"Mid-trained above the control, which pre-trained for longer, {ON_TASKS}", note=COLUMNS)
    by_name = {encoder.name: encoder for encoder in scored.encoders}
    for control, after in control_pairs(scored.encoders):
        links = {"mid over control": (by_name[control], by_name[after])}
        _add(scored, aim, scored.name(by_name[after]), links, deciding=1)
    return aim


def translation_aim(scored: ScoredStudy) -> Aim:
    """Return the aim that pre-training helps translation at equal time of mid-training."""
    language = first_language(scored.encoders)
    aim = Aim(f"BLEU {language_name(language)} from a pre-trained encoder above that from no pre-training")
    tests = scored.study.translation_tests
    p_of = {(t.baseline, t.encoder): p for t, p in zip(tests, holm([t.p for t in tests]))}
    table = Table("", ["start", "BLEU", "no pre-training", "p"])
    for _, after in main_chains(scored.encoders):
        for scratch in of_kind(scored.encoders, "midtrained"):
            if scratch.start is None and (scratch.seed, scratch.language) == (after.seed, language):
                p, name = p_of.get((scratch.name, after.name)), method_name(after) + seed_name(after, scored.encoders)
                aim.results[name] = _translation_result(scratch, after, p)
                table.rows.append([name, _bleu(after.bleu), _bleu(scratch.bleu), format_p(p)])
                table.marks |= {(len(table.rows) - 1, 1): "better"} if aim.results[name] == MET else {}
    aim.tables = [table]
    aim.note = (
        "p: of the paired test of the same sentences, corrected by Holm over this table. A BLEU below 1 shows nothing."
    )
    return aim


def _add(
    scored: ScoredStudy,
    aim: Aim,
    name: str,
    links: dict[str, tuple[MadeEncoder, MadeEncoder]],
    deciding: int,
) -> None:
    """Add a table of differences, task by task, and the result: the first `deciding` links must all show a gain."""
    table = Table("", ["points", *links])
    holds: dict[str, bool | None] = {}
    tasks = scored.tasks()
    for task in tasks:
        found = [scored.difference(task, first.name, second.name) for first, second in links.values()]
        table.rows.append([task.upper(), *map(_difference, found)])
        for column, one in enumerate(found, 1):
            if one is not None and (one.is_shown or not one.told_apart):
                table.marks[len(table.rows) - 1, column] = "better" if one.is_shown else "grey"
        shown = [None if one is None else one.is_shown for one in found[:deciding]]
        holds[task] = False if False in shown else None if None in shown else True
    yes = [task.upper() for task, state in holds.items() if state]
    open_ones = [task.upper() for task, state in holds.items() if state is None]
    if len(tasks) < WANTED:
        aim.results[name] = UNTESTED
    else:
        aim.results[name] = MET if len(yes) >= WANTED else OPEN if len(yes) + len(open_ones) >= WANTED else MISSED
    where = f", shown on {listed(yes)} ({len(yes)} of {len(tasks)} tasks)" if yes else ", shown on no task"
    still_open = f"; {listed(open_ones)} not known yet" if open_ones else ""
    is_all_open = len(open_ones) == len(tasks)
    verdict = "too few tasks for this aim" if aim.results[name] == UNTESTED else aim.results[name]
    table.lead = f"{name}: {verdict}{'' if is_all_open else where + still_open}."
    aim.tables.append(table)


def _translation_result(scratch: MadeEncoder, after: MadeEncoder, p: float | None) -> str:
    if scratch.bleu is None or after.bleu is None:
        return OPEN
    if after.bleu.value <= scratch.bleu.value or after.bleu.value < LEAST_BLEU:
        return MISSED
    return OPEN if p is None else MET if p < LEVEL else MISSED


def _difference(one: Difference | None) -> str:
    if one is None:
        return "–"
    return f"{one.points:+.1f}\np {format_p(one.p)}".replace("-", "−")


def _bleu(bleu: Bleu | None) -> str:
    return f"{bleu.value:.1f} ({bleu.low:.1f}–{bleu.high:.1f})" if bleu else "–"
