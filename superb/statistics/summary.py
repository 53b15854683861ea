"""What the summary in results.json says about each score beside its mean: interval, speakers, learning rates."""

from collections.abc import Iterable
from dataclasses import asdict

from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.metrics import shown_metrics
from mmpt.superb.statistics.reading import by_speaker
from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.intervals import interval


def add_statistics(entries: Iterable[dict], encoders: dict[str, EncoderInRun]) -> list[str]:
    """Add to the summary's entries what the predictions show.

    - `lr_grid`: the learning rates that were trained; `lr_chosen_on_dev`: whether dev chose from several.
    - To each metric `interval`: low, high (95 %, as fractions), method, clusters.
    - To the task's own metrics `by_cluster`: speaker → score, the mean over seeds.

    Args:
        entries: of `selection.summaries`.
        encoders: by name.

    Returns:
        A line for each entry that gets no intervals, with the reason.
    """
    problems = []
    for entry in entries:
        task, encoder = entry["task"], encoders[entry["encoder"]]
        entry["lr_grid"] = encoder.rates(task)
        measured = all(job.get("dev_score") is not None for job in encoder.jobs(task))
        entry["lr_chosen_on_dev"] = len(entry["lr_grid"]) > 1 and measured
        try:
            for metric, items in encoder.items(task, entry["split"]).items():
                entry[metric]["interval"] = asdict(interval(items))
                if metric in shown_metrics(task):
                    entry[metric]["by_cluster"] = by_speaker(items)
        except InputError as error:
            problems.append(f"{task} {encoder.name}: no interval: {error}")
    return problems
