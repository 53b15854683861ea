"""Threads and memory of a process that computes with a small model on the CPU, chosen before torch is loaded.

Two OpenMP threads wait for each other several thousand times in an update of a small model, and they wait by spinning.
If another program takes one core, each wait lasts until the scheduler gives that core back: training becomes several
times slower, not a third. With a small batch one thread is the answer: it waits for nobody. With a large batch, waits
are rarer and a second thread pays; threads then spin for a moment only, and sleep. The choice depends on the sizes of
model and batch alone, never on the load of the moment: the number of threads decides in which order floats are added,
so it decides the last bits of every figure. scripts/benchmark/contention.py measures it.
"""

import ctypes
import os
import sys
from pathlib import Path

from mmpt.upstream.mmpt_av.config import EncoderConfig

SMALL_PARAMETERS = 2_000_000  # stage 1 of the samples has 1.4 M; the paper's encoder has 43 M, worth every core
LARGE_BATCH_STATES = 4_000  # stage 1 of the samples computes 20,000 states at once, stage 2 of them 1,000
SHORT_SPIN = "1000"  # rounds of libgomp's waiting loop before a thread sleeps; its own choice is 300,000
HALF, BYTES_OF_LIST = b"HalfStorage", 1 << 16  # a checkpoint file begins with the list of its tensors and their kinds
THREAD_CHOICES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
MEMORY_CHOICES = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc accepts no more
KEPT_BYTES = 1 << 30


def prepare_for_model(parameters: int, states: int = 0) -> None:
    """Choose threads and memory for a small model: call it before torch is loaded.

    It gets one thread, or with a large batch all of them with a short spin, and memory that it frees stays with the
    process (see `keep_freed_memory`). Larger models keep the libraries' choice. So does a process that has torch
    loaded, or whose user has chosen by an environment variable.

    Args:
        parameters: of the model.
        states: hidden states, of all items of a batch, that a layer computes at once.
    """
    if parameters > SMALL_PARAMETERS or "torch" in sys.modules:
        return
    if not any(name in os.environ for name in THREAD_CHOICES):
        # Loader processes inherit it.
        if states < LARGE_BATCH_STATES:
            os.environ["OMP_NUM_THREADS"] = "1"
        else:
            os.environ["GOMP_SPINCOUNT"] = SHORT_SPIN
    if not any(name in os.environ for name in MEMORY_CHOICES):
        keep_freed_memory()


def keep_freed_memory() -> None:
    """Have glibc keep what this process frees, up to 1 GiB, instead of giving it back to the system after each layer.

    A page that was given back is cleared by the system before the process gets it again: 10,000 page faults an update
    of the samples' mid-training, a tenth of its time. Other C libraries keep their own way.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def encoder_parameters(config: EncoderConfig) -> int:
    """Return about how many parameters an encoder of these sizes has (within 3 % for the presets)."""
    front = 5 * config.n_mels * config.conv_channels + 5 * config.conv_channels // 2 * 2 * config.d_model
    attention_and_convolution = 7 * config.d_model**2 + config.depthwise_kernel * config.d_model
    return front + config.n_layers * (4 * config.d_model * config.ffn_dim + attention_and_convolution)


def transformer_parameters(d_model: int, n_layers: int) -> int:
    """Return about how many parameters a Transformer has whose feed-forward layers are four times as wide as it."""
    return n_layers * 12 * d_model**2


def checkpoint_parameters(file: Path) -> int:
    """Return at most how many parameters a checkpoint file has room for; 0 if there is no such file."""
    if not file.is_file():
        return 0
    with file.open("rb") as opened:
        is_half = HALF in opened.read(BYTES_OF_LIST)
    return file.stat().st_size // (2 if is_half else 4)  # bytes of a float16, a float32
