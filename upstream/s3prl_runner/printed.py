"""What this project reads of a run of S3PRL: lines that the runner prints, and the step that its bar keeps in a file.

No other file knows the wording of the lines (s3prl 0.4.18).
"""

from __future__ import annotations

from pathlib import Path

STEP_FILE = "step.txt"  # in an experiment's folder: the training's step, see progress.py


def is_dropped_batch(text: str) -> bool:
    """Return True if the runner reports a batch that did not fit the GPU's memory (s3prl/downstream/runner.py:323)."""
    return "CUDA out of memory" in text


def is_nan_step(text: str) -> bool:
    """Return True if the runner reports a step skipped for a NaN gradient (s3prl/downstream/runner.py:351)."""
    return "grad norm is NaN" in text


def read_step(folder: Path) -> int:
    """Return the step that the training in an experiment's folder has reached; 0 if none is known yet."""
    try:
        return int((folder / STEP_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
