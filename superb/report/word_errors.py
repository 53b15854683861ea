"""Word errors by method, data set and language, and the averages that the paper draws from them, in per cent.

Missing cells stay empty, and an average is over the others. A gain compares only encoders with both figures, before and
after mid-training.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import yaml

from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

SPLITS = ("clean", "other")  # LibriSpeech's test sets
PRE = None  # the language of an encoder without mid-training
PAPER = Path(__file__).with_name("paper_wer.yaml")
OLD_PAPER = REPOSITORY / "scripts" / "reporting" / "paper_wer.yaml"
Key = tuple[str, str, str | None]  # method, data set, language or PRE


@dataclass(frozen=True)
class WordErrors:
    """One test set's.

    Args:
        cells: method, data set, language → word errors.
        scratch: without any pre-training; None if not known.
        spreads: standard deviations, as far as known; that of scratch under None.
    """

    cells: dict[Key, float]
    scratch: float | None = None
    spreads: dict[Key | None, float] = field(default_factory=dict)

    def methods(self) -> list[str]:
        return list(dict.fromkeys(method for method, _, _ in self.cells))

    def data_sets(self) -> list[str]:
        return list(dict.fromkeys(data for _, data, _ in self.cells))

    def languages(self) -> list[str]:
        return list(dict.fromkeys(language for _, _, language in self.cells if language is not PRE))

    def mean(self, method: str | None = None, data: str | None = None) -> float | None:
        """Return the mean without mid-training, of one method or data set if given: the paper's row of a data set."""
        return _mean(
            value
            for (m, d, language), value in self.cells.items()
            if language is PRE and method in (None, m) and data in (None, d)
        )

    def gain(self, method: str | None = None, data: str | None = None, language: str | None = None) -> float | None:
        """Return what mid-training gains, per cent; of one method, data set or language if given.

        It is 1 - mean(mid-trained) / mean(pre-trained only), a ratio of means over the encoders with both figures.
        """
        pairs = [
            (value, self.cells[m, d, PRE])
            for (m, d, spoken), value in self.cells.items()
            if spoken is not PRE
            and (m, d, PRE) in self.cells
            and method in (None, m)
            and data in (None, d)
            and language in (None, spoken)
        ]
        return relative_gain(_mean(mid for mid, _ in pairs), _mean(pre for _, pre in pairs))

    def method_row(self, method: str) -> float | None:
        """Return the paper's row of a method; None if a part of it is missing.

        It is the mean of two means: without mid-training, and over all mid-trained cells.
        """
        mid = _mean(value for (m, _, language), value in self.cells.items() if m == method and language is not PRE)
        pre = self.mean(method=method)
        return None if pre is None or mid is None else fmean([pre, mid])


def relative_gain(new: float | None, old: float | None) -> float | None:
    """Return the per cent by which `new` is lower than `old`; negative if it is higher."""
    return None if new is None or not old else 100 * (1 - new / old)


def read_table(file: Path) -> dict[str, WordErrors]:
    """Return test set → word errors of a YAML table in the form of paper_wer.yaml. Raises InputError."""
    try:
        file = moved_table(file)
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        cells = {
            (row["method"], row["data"], PRE if key == "pre" else key): dict(zip(SPLITS, map(float, pair), strict=True))
            for row in content["rows"]
            for key, pair in row.items()
            if key not in ("method", "data")
        }
        scratch = content.get("scratch", {})
        known, spread = (dict(zip(SPLITS, map(float, scratch.get(key, ())))) for key in ("wer", "std"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{file}: is not a table of word errors as superb/report/paper_wer.yaml is one") from None
    return {
        split: WordErrors(
            {key: pair[split] for key, pair in cells.items()},
            known.get(split),
            {None: spread[split]} if split in spread else {},
        )
        for split in SPLITS
    }


def moved_table(file: Path) -> Path:
    """Return where the paper's table lies today if `file` is its former place, and report that; else `file`."""
    if file.exists() or file.expanduser().resolve() != OLD_PAPER:
        return file
    shown = Path(os.path.relpath(PAPER))
    print(f"{file}: taken as {shown}, where it lies now", file=sys.stderr)
    return shown


def paper() -> dict[str, WordErrors]:
    """Return the paper's own table."""
    return read_table(PAPER)


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return fmean(values) if values else None
