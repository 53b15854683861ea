"""report.html, one file that needs no other, and its figures as PNG and PDF beside it."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from mmpt.superb.report import figures, style, tables, training_figures
from mmpt.superb.report.collect import Collection
from mmpt.superb.report.style import pyplot
from mmpt.superb.report.tables import Table
from mmpt.superb.report.word_errors import WordErrors
from mmpt.upstream.files import write_text
from mmpt.upstream.s3prl_runner.tasks import TASKS

DPI = 160
SHOWN_AT = 110  # pixels of the page to an inch of a figure
WIDEST = 900
EMPTY = {"Creator": None, "Producer": None, "CreationDate": None}  # of a PDF: equal results are equal bytes


@dataclass
class Drawn:
    """A figure. png: its bytes; width: in pixels of the page."""

    name: str
    caption: str
    png: bytes
    width: int

    @property
    def base64(self) -> str:
        return base64.b64encode(self.png).decode("ascii")


@dataclass
class Section:
    """What stands under one title."""

    title: str
    tables: list[Table] = field(default_factory=list)
    figures: list[Drawn] = field(default_factory=list)


class Report:
    """Sections in order; figures are written as they are drawn."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sections: list[Section] = []

    def add_results(self, found: Collection) -> None:
        """All that runs' results have: tasks, word errors, changes, the board, layers and curves."""
        self._add("SUPERB tasks, test, %", [tables.superb_table(found)])
        self.add_word_errors(
            found.word_errors(), "Word errors by method, data set and language", "untrained", "wer_gains"
        )
        self._add(
            "What training the encoder changed",
            [],
            [
                (
                    "superb_change",
                    figures.change_by_task(found.rows, found.cells()),
                    "Relative change of each task's score, mean over head seeds: mid-trained against pre-trained only, and trained against untrained.",
                )
            ],
        )
        self._add(
            "Among the leaderboard's published rows",
            [tables.board_table(found.rows)],
            [
                (
                    "among_published",
                    figures.among_published(found.rows),
                    "superb_s against size and cost, numbered by rank; filled: ours; a triangle: the score lies below the picture.",
                )
            ],
        )
        self._add(
            "Layers that the tasks listen to",
            [],
            [
                (
                    "layer_weights",
                    training_figures.layer_weights(found.jobs),
                    "Weights of the sum over the encoder's layers, mean over head seeds.",
                )
            ],
        )
        self._add(
            "Training of the heads",
            [],
            [
                (
                    "dev_curves",
                    training_figures.dev_curves(
                        sorted(found.jobs, key=lambda job: [task.name for task in TASKS].index(job["task"]))
                    ),
                    "Dev score over the steps, a line a head seed; the ring is the checkpoint that was tested.",
                )
            ],
        )

    def add_word_errors(self, found: dict[str, WordErrors], title: str, scratch: str, figure: str) -> None:
        """The paper's table 1, its averages and figure 3. `scratch`: what is known of the encoder without any."""
        table = tables.word_error_table(found, title, scratch)
        caption = "Average relative gain in word errors of mid-training over pre-training only, by method, language and data set."
        drawn = (figure, figures.average_gains(found), caption)
        self._add(title, [table, tables.averages_table(found)], [drawn])

    def write(self, title: str, notes: list[str], sources: list[dict]) -> Path:
        """Writes report.html and returns its path."""
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
        template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
        file = self.folder / "report.html"
        write_text(
            file, template.render(title=title, notes=notes, sections=self.sections, sources=sources, widest=WIDEST)
        )
        return file

    def _add(self, title: str, found: list[Table | None], drawings: list[tuple[str, Figure | None, str]] = ()) -> None:
        """A section, unless nothing is in it."""
        drawn = [self._draw(name, figure, caption) for name, figure, caption in drawings if figure is not None]
        section = Section(title, [table for table in found if table is not None], drawn)
        if section.tables or section.figures:
            self.sections.append(section)

    def _draw(self, name: str, figure: Figure, caption: str) -> Drawn:
        place = self.folder / "figures"
        place.mkdir(parents=True, exist_ok=True)
        for suffix, options in (("png", {"dpi": DPI, "metadata": {"Software": None}}), ("pdf", {"metadata": EMPTY})):
            half = place / f".{name}.{suffix}"
            figure.savefig(half, **options)
            half.replace(place / f"{name}.{suffix}")
        width = round(figure.get_figwidth() * SHOWN_AT)
        pyplot.close(figure)
        return Drawn(name, caption, (place / f"{name}.png").read_bytes(), min(width, WIDEST))


def write_report(
    folder: Path, found: Collection | None, word_errors: dict[str, dict[str, WordErrors]], title: str
) -> Path:
    """Writes the report of results and of further tables of word errors; returns report.html's path.

    Args:
        word_errors: name of a table → its content.
    """
    with pyplot.rc_context(style.SETTINGS):
        report = Report(folder)
        if found is not None:
            report.add_results(found)
        for name, table in word_errors.items():
            report.add_word_errors(table, f"Word errors of {name}", "", f"wer_gains_{name}")
    return report.write(title, found.notes if found else [], found.sources if found else [])
