"""Report on a prepared MuST-C: a page of figures, and a picture of the segments' lengths."""

from pathlib import Path

from matplotlib.figure import Figure

from mmpt.midtrain.segments import TRAIN, Split
from mmpt.midtrain.vocabulary import Vocabulary
from mmpt.upstream.files import replacing, write_text
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

EXAMPLES = 5  # ids named for each kind of change


def shared_texts(splits: list[Split]) -> dict[str, list[str]]:
    """Return the ids of dev and test segments whose transcript and translation are also in training, by split."""
    trained = {(s.source, s.target) for split in splits if split.name == TRAIN for s in split.segments}
    found = {
        split.name: [s.id for s in split.segments if s.target and (s.source, s.target) in trained]
        for split in splits
        if split.name != TRAIN
    }
    return {name: ids for name, ids in found.items() if ids}


def write_report(
    name: str, splits: list[Split], shared: dict[str, list[str]], vocabulary: Vocabulary, file: Path
) -> None:
    """Write the page."""
    lines = [
        f"# {name}",
        "",
        "| split | segments | hours | speakers | mean, s | longest, s | sub-words | unknown, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for split in splits:
        seconds = [s.samples / SAMPLE_RATE for s in split.segments]
        tokens = [token for s in split.segments for token in vocabulary.encode(s.target)]
        unknown = 100 * sum(token == vocabulary.processor.unk_id() for token in tokens) / max(1, len(tokens))
        cells = (
            split.name,
            f"{len(seconds):,}",
            f"{split.hours:.2f}",
            f"{len({s.speaker for s in split.segments}):,}",
            f"{sum(seconds) / len(seconds):.2f}",
            f"{max(seconds):.2f}",
            f"{len(tokens):,}",
            f"{unknown:.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Vocabulary: {len(vocabulary):,} sub-words (SentencePiece unigram), learned from the training translations.",
        "",
        "## What was changed or is odd",
        "",
    ]
    changes = [(split.name, what, ids) for split in splits for what, ids in split.changes.items()]
    changes += [(split, "kept, texts of a training segment", ids) for split, ids in shared.items()]
    lines += [
        f"- {split}: {len(ids):,} {what} ({', '.join(ids[:EXAMPLES])}{' …' if len(ids) > EXAMPLES else ''})"
        for split, what, ids in changes
    ] or ["Nothing."]
    write_text(file, "\n".join([*lines, "", "![lengths](lengths.png)", ""]))


def draw_lengths(splits: list[Split], file: Path) -> None:
    """Draw a histogram of the segments' lengths for each split."""
    figure = Figure(figsize=(7, 1.6 * len(splits)), layout="constrained")
    longest = max(s.samples for split in splits for s in split.segments) / SAMPLE_RATE
    for axes, split in zip(figure.subplots(len(splits), 1, sharex=True, squeeze=False)[:, 0], splits):
        axes.hist([s.samples / SAMPLE_RATE for s in split.segments], bins=60, range=(0, longest))
        axes.set_ylabel(split.name)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("seconds of a segment")
    with replacing(file) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
