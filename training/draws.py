"""Random draws that depend on a name alone, so that they are the same on any rank and worker, and after a resume."""

import zlib

import torch


def named_generator(*name: object) -> torch.Generator:
    """Return a generator whose seed is a hash of the name's parts: seed, epoch and item's id, for example."""
    return torch.Generator().manual_seed(zlib.crc32("/".join(map(str, name)).encode()))
