"""Compare declared pairs of encoders over all tasks; p is corrected for all of these comparisons together."""

from collections.abc import Sequence
from dataclasses import asdict

from mmpt.superb.statistics.comparison import compare
from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.holm import correct
from mmpt.superb.statistics.metrics import PRIMARY
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.tasks import superb_task

Pair = tuple[EncoderInRun, EncoderInRun]  # baseline, encoder


def compare_pairs(pairs: Sequence[Pair]) -> tuple[list[dict], list[str]]:
    """Compare the encoders of each pair on the primary figure of each task that both were tested in.

    Returns:
        Rows as of `compare_cell`, with `p_corrected` (Holm over all rows) and `told_apart`; and a line for each task
        that could not be compared.
    """
    rows: list[dict] = []
    problems: list[str] = []
    for pair in pairs:
        for task, metric in PRIMARY.items():
            split = superb_task(task).test_split
            tested = [encoder for encoder in pair if encoder.summary(task, split)]
            where = f"{pair[1]} against {pair[0]}, {task.upper()}: not compared"
            if len(tested) == 1:
                problems.append(f"{where}: only {tested[0]} was tested")
            if len(tested) == 2:
                try:
                    rows.append(compare_cell(pair, task, split, metric))
                except InputError as error:
                    problems.append(f"{where}: {error}")
    correct(rows)
    return rows, problems


def compare_cell(pair: Pair, task: str, split: str, metric: str) -> dict:
    """Compare two encoders by one figure.

    Returns:
        task, split, metric, baseline and encoder (names); `scores` of the two, `difference` (encoder minus baseline)
        with low and high (95 %), and `smallest`, the difference that could be shown: all as fractions; p,
        mcnemar_p, method, clusters, and the number of items.

    Raises:
        InputError: one was not tested, predictions are missing, or the test sets differ.
    """
    first, second = (encoder.items(task, split)[metric] for encoder in pair)
    names = {"baseline": pair[0].name, "encoder": pair[1].name}
    found = {"scores": [first.score, second.score], **asdict(compare(first, second)), "items": len(first.ids)}
    return {"task": task, "split": split, "metric": metric, **names, **found}
