"""Write report.html, one file that needs no other, and its figures as PNG and PDF beside it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from mmpt.superb.report import figures, score_figures, style, tables, training_figures
from mmpt.superb.report.changes import Ends, gain_intervals
from mmpt.superb.report.collect import Collection
from mmpt.superb.report.comparison_tables import comparison_note, comparison_tables, speaker_tables
from mmpt.superb.report.rendering import Drawn, draw, rendered
from mmpt.superb.report.style import pyplot
from mmpt.superb.report.tables import Table
from mmpt.superb.report.word_errors import WordErrors
from mmpt.superb.report.worst_utterances import Utterance, worst_utterances
from mmpt.upstream.files import write_text
from mmpt.upstream.s3prl_runner.tasks import TASKS

SHOWN = 3  # utterances of the worst; the reader unfolds the others
CAPTIONS = {
    "scores": "Scores on test, mean over head seeds. Whiskers: 95 % intervals; grey: the head seeds.",
    "superb_change": (
        "Relative change of each task's score, mean over head seeds: mid-trained against pre-trained only, "
        "and trained against untrained. Whiskers: the 95 % interval of the difference, as a share of the other's "
        "score."
    ),
    "among_published": (
        "superb_s against size and cost, numbered by rank; filled: ours; a triangle: the score lies below the picture."
    ),
    "layer_weights": "Weights of the sum over the encoder's layers, mean over head seeds.",
    "dev_curves": "Dev score over the steps, a line a head seed; the ring is the checkpoint that was tested.",
    "wer_gains": (
        "Average relative gain in word errors of mid-training over pre-training only, by method, language and data "
        "set. Whiskers: 95 % intervals of gains that a single pair of encoders makes."
    ),
}


@dataclass
class Section:
    """What stands under one title."""

    title: str
    tables: list[Table] = field(default_factory=list)
    figures: list[Drawn] = field(default_factory=list)
    utterances: list[Utterance] = field(default_factory=list)
    note: str = ""


class Report:
    """Sections in order; figures are written as they are drawn."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sections: list[Section] = []

    def add_results(self, found: Collection) -> None:
        """Add all that runs' results have: scores, comparisons, speakers, utterances, the board, layers and curves."""
        tasks = [task.name for task in TASKS]
        jobs = sorted(found.jobs, key=lambda job: tasks.index(job["task"]))
        cells, comparisons = found.cells(), found.all_comparisons()
        drawn = {"scores": score_figures.scores(found.rows, cells)}
        self._add("SUPERB tasks, test, %", [tables.superb_table(found)], drawn)
        self._add("Comparisons", comparison_tables(found), note=comparison_note(found))
        changes = score_figures.change_by_task(found.rows, cells, comparisons)
        self._add("What training the encoder changed", [], {"superb_change": changes})
        self._add("Scores by speaker, test, %", speaker_tables(found))
        self.add_utterances(worst_utterances(found))
        title = "Word errors by method, data set and language"
        intervals = gain_intervals(found.rows, comparisons)
        self.add_word_errors(found.word_errors(), title, "untrained", "wer_gains", intervals)
        self._add(
            "Among the leaderboard's published rows",
            [tables.board_table(found.rows)],
            {"among_published": figures.among_published(found.rows)},
        )
        weights = training_figures.layer_weights(found.jobs)
        self._add("Layers that the tasks listen to", [], {"layer_weights": weights})
        self._add("Training of the heads", [], {"dev_curves": training_figures.dev_curves(jobs)})

    def add_utterances(self, found: list[Utterance]) -> None:
        """Add the utterances of ASR with the most errors, unless there are none."""
        if found:
            last = list(found[0].hypotheses)[-1]
            note = (
                f"Those with the most character errors of {last}, first head seed. The number is that of character "
                "errors. Underlined: wrong words; struck out: missing ones."
            )
            self.sections.append(Section("Worst utterances of ASR test-clean", utterances=found, note=note))

    def add_word_errors(
        self,
        found: dict[str, WordErrors],
        title: str,
        scratch: str,
        figure: str,
        intervals: dict[tuple[str, str, str], Ends] | None = None,
    ) -> None:
        """Add the paper's table 1, its averages and figure 3.

        Args:
            found: test set → word errors.
            title: of the section.
            scratch: a remark about the encoder without any pre-training.
            figure: name of the figure's files.
            intervals: of `changes.gain_intervals`.
        """
        table = tables.word_error_table(found, title, scratch)
        gains = figures.average_gains(found, intervals or {})
        self._add(title, [table, tables.averages_table(found)], {figure: gains})

    def write(self, title: str, notes: list[str], sources: list[dict]) -> Path:
        """Write report.html and return its path."""
        file = self.folder / "report.html"
        text = rendered(
            Path(__file__).with_name("page.html"),
            title=title,
            notes=notes,
            sections=self.sections,
            sources=sources,
            shown=SHOWN,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
        return file

    def _add(
        self,
        title: str,
        found: Iterable[Table | None],
        drawings: dict[str, Figure | None] | None = None,
        note: str = "",
    ) -> None:
        """Add a section, unless it is empty."""
        # The figure of a table of word errors is called wer_gains_TABLE.
        drawn = [
            draw(self.folder, name, figure, CAPTIONS[name if name in CAPTIONS else "wer_gains"])
            for name, figure in (drawings or {}).items()
            if figure is not None
        ]
        section = Section(title, [table for table in found if table is not None], drawn, note=note)
        if section.tables or section.figures:
            self.sections.append(section)


def write_report(
    folder: Path, found: Collection | None, word_errors: dict[str, dict[str, WordErrors]], title: str
) -> Path:
    """Write the report of results and of further tables of word errors; return report.html's path.

    Args:
        folder: gets report.html and figures/.
        found: results of runs; None without any.
        word_errors: name of a table → its content.
        title: of the page.
    """
    with pyplot.rc_context(style.SETTINGS):
        report = Report(folder)
        if found is not None:
            report.add_results(found)
        for name, table in word_errors.items():
            report.add_word_errors(table, f"Word errors of {name}", "", f"wer_gains_{name}")
    return report.write(title, found.notes if found else [], found.sources if found else [])
