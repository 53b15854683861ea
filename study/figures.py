"""Draw a study's figures 2 and 3, after the paper's. None if there is nothing to show."""

from matplotlib.figure import Figure

from mmpt.study.bars import Bar, draw
from mmpt.study.gains import gain, groups
from mmpt.study.pairs import of_kind
from mmpt.study.record import MadeEncoder
from mmpt.study.scored import COUNTED, ScoredStudy
from mmpt.superb.report.changes import Change, change
from mmpt.superb.report.rows import Cell
from mmpt.superb.statistics.metrics import title

KINDS = {"pretrained": "pre-trained only", "midtrained": "mid-trained", "longer": "pre-trained longer"}
LABEL = "relative change, % (right is better)"


def change_by_task(scored: ScoredStudy) -> Figure | None:
    """Draw figure 2: by how much each trained encoder is better than the untrained one, task by task."""
    trained = [encoder for kind in KINDS for encoder in of_kind(scored.encoders, kind)]
    order = list(KINDS)
    panels = {}
    for cell in COUNTED.values():
        panels[_title(cell)] = [Bar(scored.name(e), _change(scored, e, cell), order.index(e.kind)) for e in trained]
    return draw(panels, list(KINDS.values()), LABEL)


def gains(scored: ScoredStudy) -> Figure | None:
    """Draw figure 3: what mid-training gains, by method, language and data, task by task."""
    found = groups(scored)
    panels = {
        _title(cell): [
            Bar(name, gain(scored, pairs, cell), number)
            for number, group in enumerate(found.values())
            for name, pairs in group.items()
        ]
        for cell in COUNTED.values()
    }
    return draw(panels, [f"by {what}" for what in found], LABEL)


def _title(cell: Cell) -> str:
    """Return a panel's title: better is to the right in all of them, so no arrow."""
    return title(*cell).rstrip("↑↓ ")


def _change(scored: ScoredStudy, encoder: MadeEncoder, cell: Cell) -> Change | None:
    for untrained in of_kind(scored.encoders, "untrained")[:1]:
        if encoder.name in scored.rows and untrained.name in scored.rows:
            rows = scored.rows[encoder.name], scored.rows[untrained.name]
            return change(*rows, cell, scored.found.all_comparisons())
    return None
