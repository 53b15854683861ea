"""The updates of an epoch. Each is prepared while the device computes the one before."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from mmpt.training.distributed import Counts, World
from mmpt.training.prefetch import Prefetcher
from mmpt.training.stop_signal import StopSignal
from mmpt.training.task import Batch, TrainingTask


@dataclass(frozen=True)
class Update:
    """What this rank computes in one update.

    Attributes:
        parts: its micro-batches, not on the device yet.
        part_counts: the items of each by name (see TrainingTask.counts).
        counts: of all ranks.
        signal: number of a signal to stop that some rank had received by then, or 0.
    """

    parts: list[Batch]
    part_counts: list[dict[str, int]]
    counts: Counts
    signal: int


def prepared_updates(
    task: TrainingTask,
    batches: Iterator[Batch],
    accumulate: int,
    world: World,
    stop: StopSignal,
    prefetcher: Prefetcher,
) -> Iterator[Update]:
    """Yield updates of `accumulate` micro-batches, as long as there are enough.

    When one is asked for, its micro-batches are taken from `batches`, the ranks tell each other what is in them, which
    items they skipped and whether to stop, and the copy of the first one to the device is started. All of this takes
    no time of a GPU that still has work queued.
    """
    while True:
        parts = list(islice(batches, accumulate))
        if len(parts) < accumulate:
            return

        part_counts = [task.counts(part) for part in parts]
        own = {name: sum(counts[name] for counts in part_counts) for name in part_counts[0]}
        by_rank, skipped, signals = zip(*world.gather((own, task.skipped.drain(), stop.received)))
        task.skipped.add([entry for entries in skipped for entry in entries])
        prefetcher.start(parts[0])
        yield Update(parts, part_counts, Counts(list(by_rank)), max(signals))
