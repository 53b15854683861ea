"""Correct p-values for the number of comparisons that a table makes."""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.05


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's step-down method, in the order given.

    The k-th smallest of n is multiplied by n − k + 1; none becomes smaller than one before it, or larger than 1.
    Holm (1979), A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p_values, dtype=float)
    order = p.argsort()
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected.tolist()


def correct(rows: Sequence[dict]) -> None:
    """Add `p_corrected`, for all rows together, and `told_apart` to comparisons that have `p`."""
    for row, corrected in zip(rows, holm([row["p"] for row in rows])):
        row["p_corrected"], row["told_apart"] = corrected, corrected < LEVEL
