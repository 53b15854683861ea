"""Figures of a log line: losses, rates, time spent waiting, and on a GPU the model FLOPs utilisation (MFU)."""

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from mmpt.training.distributed import World
from mmpt.training.task import Batch
from mmpt.upstream.mmpt_av.recompute import watch_recomputation
from mmpt.upstream.operations import operation_counter

# Dense bfloat16 products, TFLOP/s, from the makers' data sheets. The first name found in the device's name counts.
PEAK_TFLOPS = {
    "GH200": 989,
    "H200": 989,
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "B200": 2250,
    "A100": 312,
    "A800": 312,
    "A40": 150,
    "A30": 165,
    "A10": 125,
    "L40S": 362,
    "L40": 181,
    "L4": 121,
    "RTX 6000 Ada": 364,
    "RTX 4090": 165,
    "RTX 4080": 97,
    "RTX 3090": 71,
    "RTX 3080": 60,
}


def peak_tflops(device: torch.device) -> float | None:
    """Return the device's peak rate in bfloat16, in TFLOP/s; None if unknown."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    # Whole words: an A100 is no RTX A1000.
    return next((peak for known, peak in PEAK_TFLOPS.items() if re.search(rf"\b{known}\b", name)), None)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Return the most memory that tensors took on a GPU so far, in GB, as `peak_memory_gb`; nothing elsewhere."""
    return {"peak_memory_gb": torch.cuda.max_memory_allocated(device) / 1e9} if device.type == "cuda" else {}


def in_short(figures: dict[str, float], unit: str) -> str:
    """Return the figures of a report that the progress bar shows."""
    shown = [
        f"loss {figures['loss']:.3f}",
        f"{figures[unit + '_per_s']:.0f} {unit}/s",
        f"waits {figures['data_wait_percent']:.0f} %",
    ]
    return ", ".join(shown + ([f"MFU {figures['mfu_percent']:.0f} %"] if "mfu_percent" in figures else []))


class FlopCount:
    """Count the floating-point operations of the first micro-batch, forward and backward, as they are run.

    Dropped tokens cost none, and what checkpointed blocks compute again is no progress. `per_unit` is the mean over the
    batch's units (clips, frames) on this rank.
    """

    def __init__(self, enabled: bool):
        self.enabled = enabled
        self.per_unit: float | None = None

    @property
    def is_due(self) -> bool:
        """True until the operations are known."""
        return self.enabled and self.per_unit is None

    def update(self) -> AbstractContextManager:
        """Return the context of an update: it runs nothing compiled if something is to be counted in it.

        The counter does not see compiled code; and all passes of an update must be of one kind, so that those that run
        twice draw the same dropout.
        """
        return torch.compiler.set_stance("force_eager") if self.is_due else nullcontext()

    @contextmanager
    def counting(self, units: int) -> Iterator[None]:
        """Count what runs inside, if enabled and not known yet; see `update`."""
        if not self.is_due:
            yield
            return
        counter, repeated = operation_counter(), []

        @contextmanager
        def again() -> Iterator[None]:
            before = counter.get_total_flops()
            try:
                yield
            finally:
                repeated.append(counter.get_total_flops() - before)

        with counter, watch_recomputation(again):
            yield
        self.per_unit = (counter.get_total_flops() - sum(repeated)) / max(1, units)


class Meter:
    """Sums over an interval of updates, and its time. Tensors stay on the device until `report`."""

    def __init__(self):
        self.restart()

    def restart(self) -> None:
        """Begin an interval."""
        self.losses: dict[str, Tensor] = {}
        self.norm, self.skipped = torch.zeros(()), torch.zeros(())
        self.steps = self.units = 0
        self.waited_s = self.paused_s = 0.0
        self.started = time.perf_counter()

    def add(self, losses: dict[str, Tensor], norm: Tensor, is_bad: Tensor, units: int) -> None:
        """Add one update of this rank; `is_bad` is 1.0 if it was skipped, else 0.0."""
        for name, value in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + value
        self.norm = self.norm + norm
        self.skipped = self.skipped + is_bad
        self.steps += 1
        self.units += units

    def waiting_for(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches; count the time that each takes to come in the interval in which that happens."""
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self.waited_s += time.perf_counter() - started
            if batch is None:
                return
            yield batch

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside out of the interval."""
        started = time.perf_counter()
        yield
        self.paused_s += time.perf_counter() - started

    def report(self, unit: str, world: World, flops: FlopCount, peak: float | None) -> dict[str, float]:
        """Return means by name, rates over all ranks, the share of time spent waiting for data, and MFU.

        Args:
            unit: name of what batches are counted in.
            world: the processes.
            flops: the operations of a unit.
            peak: of the device, in TFLOP/s; None: no MFU.
        """
        *totals, norm, skipped = torch.stack([*self.losses.values(), self.norm, self.skipped]).tolist()  # one copy
        seconds = time.perf_counter() - self.started - self.paused_s  # the device has finished the updates by now
        own = {name: total / self.steps for name, total in zip(self.losses, totals)}
        by_rank = world.gather({"losses": own, "units": self.units, "waited": self.waited_s / seconds})
        figures = {
            **{name: sum(one["losses"][name] for one in by_rank) / world.size for name in own},
            "gradient_norm": norm / self.steps,
            f"{unit}_per_s": sum(one["units"] for one in by_rank) / seconds,
            "steps_per_s": self.steps / seconds,
            "data_wait_percent": 100 * max(one["waited"] for one in by_rank),
            "skipped_updates": int(skipped),
        }
        if peak and flops.per_unit:
            figures["mfu_percent"] = 100 * flops.per_unit * self.units / seconds / (peak * 1e12)
        return figures
