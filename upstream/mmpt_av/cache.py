"""States of a frozen encoder, kept on disk: an utterance met again is read, not computed.

One file an utterance. Its name is a hash of the waveform itself, inside a folder named by all else that the states hang
on (the encoder's weights and sizes, hop, kind of number, version of this format), so a file can be missing but never
stale. Files are written under a temporary name and renamed: several jobs may share a folder, and a killed one leaves
nothing half. A checksum tells a damaged file, which counts as missing.
"""

import hashlib
import json
import os
import shutil
import struct
import sys
import time
import zlib
from pathlib import Path

import torch
from torch import Tensor

from .atomic import TEMPORARY_SUFFIX, replacing
from .encoder import Encoder

VERSION = 1  # of this format, and of what the encoder computes: a change of either makes older files unreachable
DTYPES = {"float16": torch.float16, "float32": torch.float32}
HEADER = struct.Struct("<8s4I")  # MAGIC; layers, states, channels; checksum of what follows
MAGIC = b"mmptavSC"
DEFAULT_LIMIT_GB = 100.0
SPARED_GB = 2.0  # of the disk are left to others
COUNTED_AFTER = 1 << 30  # bytes that this process writes before it counts again what all have written
ABANDONED_AFTER_S = 3600  # a temporary file this old belongs to a killed job


class StateCache:
    """States of utterances, (layers, T, C) each, by waveform.

    Args:
        folder: may be shared by encoders, tasks and jobs.
        encoder: whose states these are. It must not be trained.
        dtype: "float16" or "float32", what is kept.
        limit_gb: nothing is added to a folder that holds this much. What is there stays: epochs come round in the same
            order, and throwing out the oldest would throw out what is needed next.

    Raises:
        ValueError: an unknown dtype, or a limit that is not positive.
        OSError: the folder cannot be made.
    """

    def __init__(
        self, folder: str | os.PathLike, encoder: Encoder, dtype: str = "float16", limit_gb: float = DEFAULT_LIMIT_GB
    ):
        if dtype not in DTYPES:
            raise ValueError(f"cache_dtype must be {' or '.join(DTYPES)}, got {dtype!r}")
        if not isinstance(limit_gb, (int, float)) or not limit_gb > 0:
            raise ValueError(f"cache_limit_gb must be a positive number, got {limit_gb!r}")
        self.root, self.dtype, self.limit = Path(folder), DTYPES[dtype], limit_gb * 1e9
        about = {
            "version": VERSION,
            "weights": weights_hash(encoder),
            "config": encoder.config.to_dict(),
            "dtype": dtype,
        }
        self.folder = self.root / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(self.folder / "about.json", [json.dumps(about, indent=2).encode()])
        self.read = self.computed = 0  # utterances
        self.full = False
        self._count()

    def path(self, wav: Tensor, computed_in: torch.dtype) -> Path:
        """Where the states of a waveform belong. `computed_in`: what the encoder computes in, autocast included."""
        samples = wav.detach().to("cpu", torch.float32).contiguous()
        digest = hashlib.blake2b(
            memoryview(samples.view(torch.uint8).numpy()), digest_size=16, key=str(computed_in).encode()
        ).hexdigest()
        return self.folder / digest[:2] / digest[2:]

    def get(self, path: Path) -> Tensor | None:
        """The states that lie there, or None: nothing there, or damaged."""
        try:
            with open(path, "rb") as file:
                header = file.read(HEADER.size)
                content = bytearray(os.fstat(file.fileno()).st_size - HEADER.size)
                file.readinto(content)
            magic, *shape, checksum = HEADER.unpack(header)
            if magic != MAGIC or zlib.crc32(content) != checksum:
                raise ValueError
            states = torch.frombuffer(content, dtype=self.dtype).reshape(shape)
        except FileNotFoundError:
            return None
        except (ValueError, struct.error, RuntimeError):  # cut off, or other bytes than were written
            return None
        self.read += 1
        return states

    def put(self, path: Path, states: Tensor) -> None:
        """Keeps (layers, T, C) unless the cache is full; `states` must be of the cache's dtype and finite."""
        self.computed += 1
        if self.full:
            return
        content = memoryview(states.detach().cpu().contiguous().view(torch.uint8).numpy()).cast("B")
        path.parent.mkdir(exist_ok=True)
        self._write(path, [HEADER.pack(MAGIC, *states.shape, zlib.crc32(content)), content])
        self.held += HEADER.size + len(content)
        self.uncounted += HEADER.size + len(content)
        if self.held >= self.limit or self.uncounted >= COUNTED_AFTER:
            self._count()

    def _write(self, path: Path, parts: list) -> None:
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:
                file.writelines(parts)
        except OSError as error:  # the disk is full, or the folder was deleted: the states are there all the same
            self._stop(f"cannot be written ({error.strerror})")

    def _count(self) -> None:
        """Bytes held by all encoders and jobs; temporary files of killed jobs are deleted on the way."""
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
                    pass  # another job's temporary file, renamed meanwhile
        free_gb = shutil.disk_usage(self.root).free / 1e9
        if self.held >= self.limit:
            self._stop(f"holds {self.held / 1e9:.1f} of {self.limit / 1e9:.1f} GB")
        elif free_gb < SPARED_GB:
            self._stop(f"lies on a disk with {free_gb:.1f} GB left")

    def _stop(self, why: str) -> None:
        if not self.full:
            print(f"[mmpt] cache: {self.root} {why}; nothing is added to it, what is there is used", file=sys.stderr)
        self.full = True


def weights_hash(encoder: Encoder) -> str:
    """SHA-256 of names, shapes and values: the same for a checkpoint that was exported again."""
    digest = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()
