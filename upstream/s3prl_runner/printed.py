"""The lines that S3PRL's runner prints and this project reads. No other file knows their wording (s3prl 0.4.18)."""

from __future__ import annotations

import re

_PROGRESS = re.compile(r"overall:[^|]*\|[^|]*\| *(\d+)/\d+")


def is_dropped_batch(text: str) -> bool:
    """Return True if the runner reports a batch that did not fit the GPU's memory (s3prl/downstream/runner.py:323)."""
    return "CUDA out of memory" in text


def is_nan_step(text: str) -> bool:
    """Return True if the runner reports a step skipped for a NaN gradient (s3prl/downstream/runner.py:351)."""
    return "grad norm is NaN" in text


def last_step(log: str) -> int | None:
    """Return the step of the last progress bar in a training's output, or None if there is no bar yet."""
    steps = _PROGRESS.findall(log)
    return int(steps[-1]) if steps else None
