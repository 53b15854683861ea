"""The rest of the grid: ragged against equal lengths a state, in both precisions, compiled or not; checkpointing."""

import statistics

import numpy
import torch

from mmpt.scripts.benchmark.encoder_steps import steps_on
from mmpt.scripts.benchmark.gpu.check import Check, PeakMemory, held_gigabytes, uncompiled
from mmpt.scripts.benchmark.gpu.loop import SIZES, SMALL_SIZES, forget_loops, make_loop
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.scripts.benchmark.timing import alternate, ratios
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.precision import computing_in

UTTERANCES, SHORTEST, LONGEST = 128, 200, 1000  # feature frames


def measure(part: str, check: Check) -> Figures:
    """Return the figures of one part."""
    if part == "checkpoint":
        return checkpointing(check)
    if part == "eager":
        with uncompiled():
            return lengths(check, "bfloat16", compiled=False)
    return lengths(check, part, compiled=check.compiles)


def lengths(check: Check, dtype: str, compiled: bool) -> Figures:
    """Compare training steps of the encoder on ragged and on equal lengths, with as many states in both."""
    config = EncoderConfig.preset(check.preset)
    number = 4 if check.small else UTTERANCES
    drawn = numpy.random.default_rng(18).integers(SHORTEST, LONGEST, number) // (10 if check.small else 1)
    batches = {"ragged": drawn.tolist(), "equal": [int(drawn.mean())] * number}
    encoder = Encoder(config).to(check.device)
    if compiled:
        encoder.compile_blocks()
    feats = {
        name: [torch.randn(n, config.n_mels, device=check.device) for n in frames] for name, frames in batches.items()
    }
    calls = {name: steps_on(encoder, given, True, dtype) for name, given in feats.items()}
    with computing_in(dtype, check.device):
        times = alternate(calls, check.rounds(), check.device, warm_up=1 if check.small else 3)
    states = {name: sum(-(-n // 4) for n in frames) for name, frames in batches.items()}
    a_state = {name: [t / states[name] for t in each] for name, each in times.items()}
    return {
        "compiled": compiled,
        "states": states["ragged"],
        "ragged_ms": 1e3 * statistics.median(times["ragged"]),
        "equal_ms": 1e3 * statistics.median(times["equal"]),
        "ragged_over_equal": statistics.median(ratios(a_state["ragged"], a_state["equal"])),
        "rounds": len(times["ragged"]),
    }


def checkpointing(check: Check) -> Figures:
    """Compare steps of MAE with and without activation checkpointing."""
    forget_loops()
    size, held_gb = (SMALL_SIZES if check.small else SIZES)["mae"], held_gigabytes(check.device)
    figures: Figures = {"objective": "mae", "clips_a_step": size}
    for way, _ in zip(("true", "false"), check.clock.split_part(2)):
        loop = make_loop(check, "mae", size, f"optim.checkpoint_blocks={way}")
        loop.round()
        loop.round()
        with PeakMemory(check.device) as peak:
            times = [loop.round_s() for _ in check.rounds(2, 5)]
        step_s = statistics.median(times) / len(loop.batches)
        name = "with" if way == "true" else "without"
        peak_gb = None if peak.gb is None else peak.gb - held_gb
        figures[name] = {"step_ms": 1e3 * step_s, "clips_per_s": size / step_s, "peak_gb": peak_gb}
        del loop
    return figures
