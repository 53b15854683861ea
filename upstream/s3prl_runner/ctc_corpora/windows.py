"""Windows of utterances of similar length, in S3PRL's order.

S3PRL's classes return, for every utterance, the window of `bucket_size` utterances that follow it in order of length,
so that an "epoch" has as many batches as utterances. This one does the same, because the published step counts assume
it.
"""

from __future__ import annotations

from torch.utils.data import Dataset


class WindowedDataset(Dataset):
    """Pairs of (path of the recording, token ids), or lists of such pairs for a bucketed training set.

    Args:
        items: the pairs, in any order.
        bucket_size: utterances in an item; 1 gives single pairs (evaluation, or no bucketing).
        ascending: shortest sequence first; S3PRL's order is longest first.
    """

    def __init__(self, items: list[tuple[str, list[int]]], bucket_size: int, ascending: bool):
        self.bucket_size = bucket_size
        # The path breaks ties, so that the order does not depend on the file system.
        self.items = sorted(items, key=lambda item: (len(item[1]) if ascending else -len(item[1]), item[0]))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        if self.bucket_size == 1:
            return self.items[index]
        start = max(0, min(index, len(self.items) - self.bucket_size))
        return self.items[start : start + self.bucket_size]
