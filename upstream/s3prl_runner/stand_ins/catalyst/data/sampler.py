"""The one class of catalyst that S3PRL imports: s3prl/downstream/speech_commands/expert.py:12 (keyword spotting)."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import DistributedSampler, Sampler


class DistributedSamplerWrapper(DistributedSampler):
    """Give each process a share of what any sampler draws, as catalyst 22.4 does.

    Args:
        sampler: draws indices of the data set, always the same number of them.
        num_replicas: number of processes; default: the process group's.
        rank: of this process; default: the process group's.
        shuffle: whether the order is shuffled once more, with the seed `epoch` that all processes share.
    """

    def __init__(
        self, sampler: Sampler[int], num_replicas: int | None = None, rank: int | None = None, shuffle: bool = True
    ):
        super().__init__(range(len(sampler)), num_replicas, rank, shuffle)  # type: ignore[arg-type]
        self.sampler = sampler

    def __iter__(self) -> Iterator[int]:
        """Draw anew, and yield the indices whose places in the draw are this process's."""
        places = super().__iter__()
        drawn = list(self.sampler)
        return iter([drawn[place] for place in places])
