"""What the items of a check share: the machine, the sizes, and timing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest.mock import patch

import torch
from torch._dynamo.utils import counters

from mmpt.midtrain.settings import MidtrainSettings
from mmpt.pretrain.settings import PretrainSettings
from mmpt.scripts.benchmark.gpu.clock import Clock
from mmpt.scripts.benchmark.timing import product_rate
from mmpt.training.settings import load_settings
from mmpt.upstream.mmpt_av import attention
from mmpt.upstream.mmpt_av.packing import Places
from mmpt.upstream.repository import REPOSITORY

NEVER = [f"{name}={10**6}" for name in ("optim.steps", "log_every", "validate_every", "checkpoint_every")]
SMALL_PRETRAIN = [
    "preset=tiny",
    "projection=16",
    "video.size=32",
    "video.frames=4",
    "video.d_model=48",
    "video.n_layers=1",
    "video.n_heads=4",
    "masked.decoder_width=32",
    "masked.decoder_layers=1",
    "masked.decoder_heads=2",
]
SMALL_MIDTRAIN = ["preset=tiny", "decoder.n_layers=1", "decoder.ffn_dim=64"]


class NotHere(Exception):
    """A part cannot run on this machine; the message is the reason."""


@dataclass(frozen=True)
class Check:
    """A check as its parts see it.

    Args:
        device: to measure.
        small: tiny models and few rounds, without torch.compile.
        clock: how long a part may measure.
        folder: an empty folder for what a part writes.
    """

    device: torch.device
    small: bool
    clock: Clock
    folder: Path

    @property
    def preset(self) -> str:
        """Name of the encoder's sizes."""
        return "tiny" if self.small else "base"

    @property
    def compiles(self) -> bool:
        """Whether models are compiled."""
        return not self.small

    def pretraining(self, objective: str, *overrides: str) -> PretrainSettings:
        """Return stage 1's settings: paper.yaml's, for a loop that is stepped by hand."""
        small = SMALL_PRETRAIN if self.small else []
        config = REPOSITORY / "pretrain" / "configs" / "paper.yaml"
        words = [f"objective={objective}", f"device={self.device.type}", "data.workers=0", *NEVER, *small, *overrides]
        return load_settings(PretrainSettings, config, words)

    def midtraining(self, *overrides: str) -> MidtrainSettings:
        """Return stage 2's settings: must_c.yaml's, for a loop that is stepped by hand."""
        small = SMALL_MIDTRAIN if self.small else []
        config = REPOSITORY / "midtrain" / "configs" / "must_c.yaml"
        words = ["target_lang=de", f"device={self.device.type}", "data.workers=0", *NEVER, *small, *overrides]
        return load_settings(MidtrainSettings, config, words)

    def rounds(self, least: int = 3, most: int = 12) -> Iterator[int]:
        """Yield numbers while the part has time; in small, one."""
        return self.clock.rounds(1, 1) if self.small else self.clock.rounds(least, most)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled modules without their compiled code."""
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def one_by_one() -> Iterator[None]:
    """Attend utterance by utterance, on any device; uncompiled, as compiled code has chosen its way already."""

    def way(qkv: torch.Tensor, places: Places) -> attention.Way:
        return attention.equal if places.packing.dense else attention.one_by_one

    with ExitStack() as stack:
        stack.enter_context(uncompiled())
        stack.enter_context(patch.object(attention, "choose_way", way))
        yield


WAYS: dict[str, Callable[[], AbstractContextManager]] = {
    "after": ExitStack,
    "uncompiled": uncompiled,
    "before": one_by_one,
}


@cache
def limit(device: torch.device, half: bool) -> float:
    """Return the FLOP/s that a share is of, measured at most once (see product_rate)."""
    return product_rate(device, half)


def graphs() -> int:
    """Return how many graphs torch has compiled in this process."""
    return counters["stats"]["unique_graphs"]


def gigabytes(count: int) -> float:
    """Return bytes in GB, to 10 MB."""
    return round(count / 1e9, 2)


def held_gigabytes(device: torch.device) -> float:
    """Return what tensors hold on a GPU, such as the models of other items, in GB; 0 on a processor."""
    return torch.cuda.memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0


class PeakMemory:
    """The most memory that tensors took on a GPU while this context was open; None on a processor."""

    def __init__(self, device: torch.device):
        self.device = device
        self.gb: float | None = None

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            self.gb = gigabytes(torch.cuda.max_memory_allocated(self.device))
