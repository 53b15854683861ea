"""Peak memory of the encoder and its peer, each in a process of its own, by Linux's high-water mark (proc(5))."""

import ctypes
import gc
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from mmpt.scripts.benchmark.encoder_peer import Peer, last_states
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

LENGTHS_S = (10, 30, 60, 300, 1800)
M_MMAP_THRESHOLD = -3  # of glibc's malloc.h, see mallopt(3)
REPEATED_S = 60  # up to here the shortest of three times counts
Result = TypeVar("Result")


def training_memory(preset: str, frames: tuple[int, ...], threads: int) -> None:
    """Print what forward and backward need beyond parameters and features, gradients included."""
    peaks = {name: in_new_process(training_peak, name, preset, frames, threads) for name in ("ours", "torchaudio")}
    ours, peer = peaks["ours"] / 1e9, peaks["torchaudio"] / 1e9
    both = f"ours {ours:.2f} GB, torchaudio {peer:.2f} GB"
    print(f"  peak memory of a training step: {both}, ours is {ours / peer:.2f} of that")


def over_length(preset: str, threads: int) -> None:
    """Print time and memory of one utterance, and both over the shortest one's times its length."""
    print("\nlength: one utterance, all hidden states")
    first: tuple[float, float] | None = None
    for length in LENGTHS_S:
        elapsed, peak, whole = in_new_process(length_cost, length, preset, threads)
        first = first or (elapsed / length, peak / length)
        of_linear = elapsed / length / first[0], peak / length / first[1]
        print(
            f"  {length:5} s: {elapsed:8.3f} s, {of_linear[0]:.2f} of linear; {peak / 1e6:8.1f} MB, "
            f"{of_linear[1]:.2f} of linear; process {whole / 1e9:.2f} GB"
        )


def training_peak(name: str, preset: str, frames: tuple[int, ...], threads: int) -> int:
    """Return the bytes above what the model and the features take."""
    torch.set_num_threads(threads)
    # Freed memory goes back at once, so that only memory in use counts: else up to half as much again stays, and not
    # always the same.
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**20)
    config = EncoderConfig.preset(preset)
    model = (Encoder if name == "ours" else Peer)(config).train()
    feats = [torch.randn(n, config.n_mels) for n in frames]

    def step(batch: list[torch.Tensor]) -> None:
        last_states(model, batch).square().mean().backward()
        model.zero_grad(set_to_none=True)

    step([one[:40] for one in feats[:2]])  # what is set up once is not measured
    return peak_of(lambda: step(feats))[0]


def length_cost(length: int, preset: str, threads: int) -> tuple[float, int, int]:
    """Return (seconds, bytes above encoder and waveform, bytes of the whole process)."""
    torch.set_num_threads(threads)
    encoder, wav = Encoder(EncoderConfig.preset(preset)).eval(), 0.1 * torch.randn(SAMPLE_RATE * length)
    times = []

    def once() -> None:
        started = time.perf_counter()
        encoder([wav])
        times.append(time.perf_counter() - started)

    with torch.no_grad():
        encoder([wav[:SAMPLE_RATE]])
        above, whole = peak_of(once)
        for _ in range(2 if length <= REPEATED_S else 0):
            once()
    return min(times), above, whole


def peak_of(work: Callable[[], object]) -> tuple[int, int]:
    """Return the bytes at the peak of the work: above those before it, and in all."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again at what is in use
    before = status("VmRSS")
    work()
    peak = status("VmHWM")
    return peak - before, peak


def status(name: str) -> int:
    """Return a line of this process's status, in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines[name].split()[0])  # given in kB


def in_new_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a new process; return what it returns."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)
