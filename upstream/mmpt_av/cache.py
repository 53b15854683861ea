"""Keep the states of a frozen encoder on disk, so that an utterance is encoded once and read from then on.

There is one file for each utterance, named by a hash of its waveform. Its folder is named by a hash of all else that
the states depend on: the encoder's weights and sizes, hop, dtype and the version of this format. A file can therefore
be missing but never stale. Several jobs may share a folder, since files appear only when they are complete. A damaged
file has a wrong checksum and counts as missing.

The encoder may be any: its user describes it, and computes what is missing.
"""

import hashlib
import json
import os
import shutil
import struct
import sys
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .atomic import TEMPORARY_SUFFIX, replacing

VERSION = 1  # of this format and of the encoder's arithmetic: raise it if either changes, older files are then ignored
DTYPES = {"float16": torch.float16, "float32": torch.float32}
HEADER = struct.Struct("<8s4I")  # MAGIC; layers, states, channels; checksum of the content after the header
MAGIC = b"mmptavSC"
DEFAULT_DTYPE, DEFAULT_LIMIT_GB = "float16", 100.0
SPARED_GB = 2.0  # of the disk, left free for others
COUNTED_AFTER = 1 << 30  # bytes that this process writes before it counts the whole folder again
ABANDONED_AFTER_S = 3600  # a temporary file of this age belongs to a killed job


class StateCache:
    """States of utterances, (layers, T, C) each, by waveform.

    Args:
        folder: may be shared by encoders, tasks and jobs.
        about: all that the encoder's states depend on besides the waveform, such as `weights_hash`; it goes into
            JSON. The encoder must not be trained.
        dtype: of the stored states, "float16" (the default) or "float32".
        limit_gb: size at which the folder stops growing. Old files stay: each epoch reads in the same order, and to
            delete the oldest would delete the one that is needed next.

    Raises:
        ValueError: the dtype is unknown, or the limit is not positive.
        OSError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        about: Mapping[str, Any],
        dtype: str | None = None,
        limit_gb: float | None = None,
    ):
        dtype = DEFAULT_DTYPE if dtype is None else dtype
        limit_gb = DEFAULT_LIMIT_GB if limit_gb is None else limit_gb
        if dtype not in DTYPES:
            raise ValueError(f"cache_dtype must be {' or '.join(DTYPES)}, got {dtype!r}")
        if not isinstance(limit_gb, (int, float)) or not limit_gb > 0:
            raise ValueError(f"cache_limit_gb must be a positive number, got {limit_gb!r}")
        self.root, self.dtype, self.limit = Path(folder), DTYPES[dtype], limit_gb * 1e9
        whole = {"version": VERSION, **about, "dtype": dtype}
        self.folder = self.root / hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(self.folder / "about.json", [json.dumps(whole, indent=2).encode()])
        self.read = self.computed = 0  # utterances
        self.full = False
        self._count()

    def states(
        self,
        wavs: Sequence[Tensor],
        kept_out: Collection[int],
        computed_in: torch.dtype,
        compute: Callable[[list[Tensor], bool], Iterable[Tensor]],
    ) -> list[Tensor]:
        """Return the states of each waveform, (layers, T, C) on the CPU: read, or else computed and stored.

        Fresh states are rounded like stored ones, so that both are equal.

        Args:
            wavs: (samples,) each.
            kept_out: rows whose states are not stored: sounds that will not come again (random crops).
            computed_in: dtype of the encoder's products, after autocast.
            compute: takes missing waveforms and whether their states are stored, returns the states of each on the CPU.
        """
        paths = [None if row in kept_out else self.path(wav, computed_in) for row, wav in enumerate(wavs)]
        found = {row: states for row, path in enumerate(paths) if path and (states := self.get(path)) is not None}
        missing = [row for row in range(len(wavs)) if row not in found]
        for is_stored in (True, False):
            rows = [row for row in missing if (row not in kept_out) is is_stored]
            if rows:
                for row, exact in zip(rows, compute([wavs[row] for row in rows], is_stored), strict=True):
                    found[row] = self._rounded(exact, paths[row])
        return [found[row] for row in range(len(wavs))]

    def _rounded(self, exact: Tensor, path: Path | None) -> Tensor:
        """Return fresh states (layers, T, C) in the cache's dtype, and store them unless `path` is None."""
        rounded = exact.to(self.dtype)
        if not rounded.isfinite().all():
            return exact  # too large for float16: correct, but not stored
        if path is not None:
            self.put(path, rounded)
        return rounded

    def path(self, wav: Tensor, computed_in: torch.dtype) -> Path:
        """Return the file for a waveform's states. `computed_in`: dtype of the encoder's products, after autocast."""
        samples = _bytes(wav.to(torch.float32))
        digest = hashlib.blake2b(samples, digest_size=16, key=str(computed_in).encode()).hexdigest()
        return self.folder / digest[:2] / digest[2:]

    def get(self, path: Path) -> Tensor | None:
        """Read the states from a file; return None if it is missing, damaged or cannot be read."""
        try:
            with open(path, "rb") as file:
                header = file.read(HEADER.size)
                content = bytearray(os.fstat(file.fileno()).st_size - HEADER.size)
                file.readinto(content)
            magic, *shape, checksum = HEADER.unpack(header)
            if magic != MAGIC or zlib.crc32(content) != checksum:
                raise ValueError
            states = torch.frombuffer(content, dtype=self.dtype).reshape(shape)
        except (OSError, ValueError, struct.error, RuntimeError):  # among them files that are cut off or changed
            return None
        self.read += 1
        return states

    def put(self, path: Path, states: Tensor) -> None:
        """Store states (layers, T, C) unless the cache is full. They must be finite and of the cache's dtype."""
        self.computed += 1
        if self.full:
            return
        content = _bytes(states)
        self._write(path, [HEADER.pack(MAGIC, *states.shape, zlib.crc32(content)), content])
        self.held += HEADER.size + len(content)
        self.uncounted += HEADER.size + len(content)
        if self.held >= self.limit or self.uncounted >= COUNTED_AFTER:
            self._count()

    def _write(self, path: Path, parts: Sequence[bytes | memoryview]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                file.writelines(parts)
        except OSError as error:  # the disk is full, or the folder was deleted: work continues without storing
            self._stop(f"cannot be written ({error.strerror})")

    def _count(self) -> None:
        """Count the bytes of all encoders and jobs, and delete the temporary files of killed jobs."""
        self.held, self.uncounted, old = 0, 0, time.time() - ABANDONED_AFTER_S
        for folder, _, names in os.walk(self.root):
            for name in names:
                file = Path(folder, name)
                try:
                    status = file.stat()
                    if name.endswith(TEMPORARY_SUFFIX) and status.st_mtime < old:
                        file.unlink()
                    else:
                        self.held += status.st_size
                except FileNotFoundError:
                    pass  # another job's temporary file that has just been renamed
        try:
            free_gb = shutil.disk_usage(self.root).free / 1e9
        except OSError as error:  # the folder was deleted
            self._stop(f"cannot be read ({error.strerror})")
            return
        if self.held >= self.limit:
            self._stop(f"holds {self.held / 1e9:.1f} of {self.limit / 1e9:.1f} GB")
        elif free_gb < SPARED_GB:
            self._stop(f"lies on a disk with {free_gb:.1f} GB left")

    def _stop(self, why: str) -> None:
        if not self.full:
            print(f"[mmpt] cache: {self.root} {why}; nothing is added, stored states are used", file=sys.stderr)
        self.full = True


def weights_hash(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return the SHA-256 of names, shapes and values: the same for a checkpoint that was exported again."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def padded(items: Sequence[Tensor], device: torch.device, repeat_last: bool = False) -> list[Tensor]:
    """Pad states of utterances, each (layers, T, C), to one float32 batch (B, longest, C) a layer.

    Args:
        repeat_last: pad with an utterance's last state instead of zeros. S3PRL reads round(samples / rate) states, and
            some encoders give one fewer.
    """
    layers, _, channels = items[0].shape
    dtype = max((states.dtype for states in items), key=lambda dtype: dtype.itemsize)
    batch = torch.zeros(layers, len(items), max(states.shape[1] for states in items), channels, dtype=dtype)
    for row, states in enumerate(items):
        batch[:, row, : states.shape[1]] = states
        if repeat_last:
            batch[:, row, states.shape[1] :] = states[:, -1:]
    return list(batch.to(device).float())  # half precision travels to a GPU in half the time


def _bytes(tensor: Tensor) -> memoryview:
    """Return a tensor's values as bytes on the CPU, in C order."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
