"""Write the page that a study ends with, page/index.html with its figures, and study.md for a terminal."""

from dataclasses import dataclass
from pathlib import Path

from mmpt.study import figures
from mmpt.study.aims import Aim, aims
from mmpt.study.markdown import as_markdown
from mmpt.study.names import encoder_name, seeds
from mmpt.study.pairs import of_kind
from mmpt.study.record import SUMMARY
from mmpt.study.score_table import overview_table, score_notes, score_tables
from mmpt.study.scored import ScoredStudy, read_scored
from mmpt.study.takeaway import takeaway
from mmpt.superb.report import style
from mmpt.superb.report.rendering import Drawn, draw, rendered
from mmpt.superb.report.tables import Table
from mmpt.superb.statistics.wording import listed, pair_lines
from mmpt.upstream.files import write_text

TITLE = "Does the recipe help?"
CHANGES = (
    "Figure 2: how much better each trained encoder scores than the untrained one, as a share of the latter's score. "
    "Each task has its own scale. Whiskers: the 95 % interval of the difference."
)
GAINS = (
    "Figure 3: how much better mid-trained encoders score than the same encoders without it. Methods are compared in "
    "one language and on all clips, languages from the same encoders. Each task has its own scale."
)


@dataclass
class Content:
    """What both versions of the page show."""

    title: str
    takeaway: list[str]
    aims: list[Aim]
    overview: Table
    tables: list[Table]
    score_notes: list[str]
    figures: list[Drawn]
    comparisons: list[str]
    made: list[Table]
    cut: list[str]


def write_page(folder: Path) -> Path:
    """Write page/index.html, its figures and study.md in a study's folder; return the path of index.html.

    Raises:
        InputError: study.json or results.json is missing or damaged, or they do not belong together.
    """
    scored = read_scored(folder)
    page = folder / "page"
    content = Content(
        title=f"{TITLE} The study “{Path(scored.study.plan).stem}”",
        takeaway=takeaway(scored),
        aims=aims(scored),
        overview=overview_table(scored),
        tables=score_tables(scored),
        score_notes=score_notes(scored),
        figures=drawn(scored, page),
        comparisons=comparison_lines(scored),
        made=[time_table(scored), settings_table(scored)],
        cut=list(scored.study.cut),
    )
    page.mkdir(parents=True, exist_ok=True)
    write_text(page / "index.html", rendered(Path(__file__).with_name("page.html"), content=content))
    write_text(folder / SUMMARY, as_markdown(content))
    return page / "index.html"


def drawn(scored: ScoredStudy, folder: Path) -> list[Drawn]:
    """Draw the figures that have something to show."""
    with style.pyplot.rc_context(style.SETTINGS):
        found = {
            "changes": (figures.change_by_task(scored), CHANGES),
            "gains": (figures.gains(scored), f"{GAINS} {gains_note(scored)}"),
        }
        return [draw(folder, name, figure, caption) for name, (figure, caption) in found.items() if figure is not None]


def gains_note(scored: ScoredStudy) -> str:
    """Return how the intervals of figure 3 were found."""
    if len(seeds(scored.encoders)) == 1:
        return "Each bar is a pair of encoders. Whiskers: the 95 % interval of the pair's difference."
    return (
        "Each bar is the change of the mean over seeds of pre-training. Whiskers: the 95 % interval for these "
        "encoders; each test item's errors are averaged over them, so that they share its speakers."
    )


def comparison_lines(scored: ScoredStudy) -> list[str]:
    """Return a sentence for each pair that was compared."""
    names = {scored.rows[e.name].name: scored.name(e) for e in scored.encoders if e.name in scored.rows}
    rows = [
        {**one, "baseline": names[one["baseline"]], "encoder": names[one["encoder"]]}
        for one in scored.found.all_comparisons()
    ]
    return [f"{line}." for line in pair_lines(rows)]


def time_table(scored: ScoredStudy) -> Table:
    """Return how long the training of each encoder took."""
    table = Table("", ["encoder", "training, minutes"])
    trained = of_kind(scored.encoders, "pretrained", "midtrained", "longer")
    for encoder in trained:
        minutes = "–" if encoder.minutes is None else f"{encoder.minutes:.1f}"
        table.rows.append([encoder_name(encoder, scored.encoders), minutes])
    known = [encoder.minutes for encoder in trained if encoder.minutes is not None]
    table.rows.append(["all of them", f"{sum(known):.1f}"])
    table.note = "Without the training of the encoder that each begins with, translating and the heads."
    return table


def settings_table(scored: ScoredStudy) -> Table:
    """Return the settings and seeds."""
    heads: dict[str, None] = {}
    for task in dict.fromkeys(job["task"] for job in scored.found.jobs):
        used = sorted({job["seed"] for job in scored.found.jobs if job["task"] == task})
        heads[f"{task.upper()} {listed(map(str, used))}"] = None
    rows = [
        ["seeds of pre-training", listed(map(str, seeds(scored.encoders)))] if seeds(scored.encoders) else [],
        ["seeds of heads", "; ".join(heads)],
        *map(list, (*scored.study.settings, *scored.study.made_by)),
    ]
    return Table("", ["what", "value"], [row for row in rows if row], words=2)
