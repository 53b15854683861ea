"""Peak memory of the encoder and its peer, each measured in a process of its own by Linux's own high-water mark (proc(5))."""

import ctypes
import gc
import multiprocessing
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mmpt.scripts.benchmark.encoder_peer import Peer, last_states
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

LENGTHS_S = (10, 30, 60, 300, 1800)
M_MMAP_THRESHOLD = -3  # of glibc's malloc.h, see mallopt(3)
REPEATED_S = 60  # up to here the shortest of three times counts


def training_memory(preset: str, frames: tuple[int, ...], threads: int) -> None:
    """What forward and backward need beyond parameters and features, gradients included."""
    peaks = {name: in_new_process(training_peak, name, preset, frames, threads) for name in ("ours", "torchaudio")}
    ratio = peaks["ours"] / peaks["torchaudio"]
    print(
        f"  peak memory of a training step: ours {peaks['ours'] / 1e9:.2f} GB, torchaudio {peaks['torchaudio'] / 1e9:.2f} GB, ours is {ratio:.2f} of that"
    )


def over_length(preset: str, threads: int) -> None:
    """Time and memory of one utterance, all hidden states kept, against the shortest one's times its length."""
    print("\nlength: one utterance, all hidden states")
    first = None
    for length in LENGTHS_S:
        elapsed, peak, whole = in_new_process(length_cost, length, preset, threads)
        first = first or (elapsed / length, peak / length)
        print(
            f"  {length:5} s: {elapsed:8.3f} s, {elapsed / length / first[0]:.2f} of linear; {peak / 1e6:8.1f} MB, {peak / length / first[1]:.2f} of linear; "
            f"process {whole / 1e9:.2f} GB"
        )


def training_peak(name: str, preset: str, frames: tuple[int, ...], threads: int) -> int:
    """Bytes above what the model and the features take."""
    torch.set_num_threads(threads)
    # What is freed goes back at once, so that only what is in use counts: else up to half as much again stays, more one time than another.
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**20)
    config = EncoderConfig.preset(preset)
    model = (Encoder if name == "ours" else Peer)(config).train()
    feats = [torch.randn(n, config.n_mels) for n in frames]

    def step(batch: list[torch.Tensor]) -> None:
        last_states(model, batch).square().mean().backward()
        model.zero_grad(set_to_none=True)

    step([one[:40] for one in feats[:2]])  # what is set up once does not count
    return peak_of(lambda: step(feats))[0]


def length_cost(length: int, preset: str, threads: int) -> tuple[float, int, int]:
    """(seconds, bytes above encoder and waveform, bytes of the whole process)."""
    torch.set_num_threads(threads)
    encoder, wav = Encoder(EncoderConfig.preset(preset)).eval(), 0.1 * torch.randn(16000 * length)
    times = []

    def once() -> None:
        started = time.perf_counter()
        encoder([wav])
        times.append(time.perf_counter() - started)

    with torch.no_grad():
        encoder([wav[:16000]])
        above, whole = peak_of(once)
        for _ in range(2 if length <= REPEATED_S else 0):
            once()
    return min(times), above, whole


def peak_of(work: Callable[[], object]) -> tuple[int, int]:
    """Bytes at the peak while it works: above what there was before, and in all."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again at what is in use
    before = status("VmRSS")
    work()
    peak = status("VmHWM")
    return peak - before, peak


def status(name: str) -> int:
    """A line of this process's status, in bytes."""
    return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1))


def in_new_process(function: Callable, *arguments: object):
    """What the function returns in a process that has done nothing before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)
