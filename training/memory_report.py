"""What a run reports of its memory before its first update: whether it fits the GPU, and which setting helps if not."""

from collections.abc import Callable, Iterable, Iterator

import torch

from mmpt.training.memory_estimate import Memory
from mmpt.training.settings import OptimSettings

ROOM = 0.9  # share of the free memory that an estimate may fill; the rest is for libraries and gaps between tensors


def print_memory(
    count: Callable[[int], Memory], choices: Iterable[int], settings: OptimSettings, device: torch.device
) -> None:
    """Print the estimate of an update, and what to change if it does not fit the GPU. On a CPU, do nothing.

    Args:
        count: returns the memory of a micro-batch if an update has so many.
        choices: numbers of micro-batches that are possible, in ascending order.
        settings: of the run.
        device: the run's.
    """
    if device.type != "cuda":
        return
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    try:
        for line in memory_lines(count, choices, settings, free):
            print(line)
    except Exception as error:  # a run must not end because of an estimate: fake tensors do not know all operators
        reason, *_ = str(error).splitlines() or ["no reason given"]
        print(f"Memory: no estimate ({type(error).__name__}: {reason})")


def memory_lines(
    count: Callable[[int], Memory], choices: Iterable[int], settings: OptimSettings, free: int
) -> Iterator[str]:
    """Yield the lines of `print_memory` for so many bytes of free memory."""
    needed = count(settings.accumulate).total(settings.checkpoint_blocks)
    yield f"Memory: an update takes about {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB of the GPU are free"
    if needed > ROOM * free:
        more = [parts for parts in choices if parts >= settings.accumulate]
        ways = " or ".join(ways_to_fit(count, more, settings, free))
        yield f"Warning: the run may not fit; {'set ' + ways if ways else 'take more GPUs or smaller batches'}"


def ways_to_fit(count: Callable[[int], Memory], choices: list[int], settings: OptimSettings, free: int) -> list[str]:
    """Return the settings with which an update fits: checkpointing, micro-batches, or both, as few as possible."""

    def fewest_parts(checkpointing: bool) -> int | None:
        return next((parts for parts in choices if count(parts).total(checkpointing) <= ROOM * free), None)

    ways = []
    if not settings.checkpoint_blocks and (parts := fewest_parts(True)):
        several = f" optim.accumulate={parts}" if parts > settings.accumulate else ""
        ways.append(f"optim.checkpoint_blocks=true{several}")
    if parts := fewest_parts(settings.checkpoint_blocks):
        ways.append(f"optim.accumulate={parts}")
    return ways
