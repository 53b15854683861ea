"""Batches are copied to a GPU while it computes."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from mmpt.training.task import Batch


class Prefetcher:
    """Copies batches to the device ahead: on a GPU, on a stream of its own, beside what is computed there.

    The GPU holds two batches at most: the one that it computes and the next. (Batches whose pictures a GPU decodes have
    these there already.) On other devices a batch is taken as it is.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.ahead: tuple[Batch, Batch] | None = None  # a batch, and its copy on the device
        self.queued: torch.cuda.Event | None = None  # the end of what was queued when the last copy was started

    def start(self, batch: Batch) -> None:
        """Start to copy the batch that will be taken next."""
        if self.stream is None:
            self.ahead = batch, batch.to(self.device)
            return
        if self.queued is not None:
            self.queued.synchronize()  # the batch before the present one is done, and its memory free
        self.queued = torch.cuda.current_stream(self.device).record_event()
        with torch.cuda.stream(self.stream):
            self.ahead = batch, batch.to(self.device)

    def take(self, batch: Batch) -> Batch:
        """Return the batch on the device, for the current stream."""
        if self.ahead is None or self.ahead[0] is not batch:
            self.start(batch)
        assert self.ahead is not None
        copied, self.ahead = self.ahead[1], None
        if self.stream is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(self.stream)
            for tensor in tensors_in(copied):
                if tensor.device.type == "cuda":
                    tensor.record_stream(current)  # else its memory could be given to the next copy too early
        return copied

    def each(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches on the device, one after another."""
        for batch in batches:
            yield self.take(batch)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a batch: in its attributes, and in lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        yield value
        return
    if isinstance(value, dict):
        inner: Iterable[Any] = value.values()
    elif isinstance(value, (list, tuple)):
        inner = value
    else:
        inner = getattr(value, "__dict__", {}).values()
    for one in inner:
        yield from tensors_in(one)
