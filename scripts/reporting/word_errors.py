"""Word errors by method, data set and language, and the averages that the paper draws from them.

Cells that are not there stay empty (None), and an average is over the cells that are; a gain compares only encoders of which both the
pre-trained and the mid-trained figure are known. Per cent throughout; a pair is (test-clean, test-other).
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import yaml

Pair = tuple[float, float]
PRE = None  # the language of an encoder without mid-training


@dataclass(frozen=True)
class WordErrors:
    """cells: (method, data set, language or PRE) → word errors. scratch: without any pre-training; None where not known."""

    cells: dict[tuple[str, str, str | None], Pair]
    scratch: Pair | None = None

    def methods(self) -> list[str]:
        return list(dict.fromkeys(method for method, _, _ in self.cells))

    def data_sets(self) -> list[str]:
        return list(dict.fromkeys(data for _, data, _ in self.cells))

    def languages(self) -> list[str]:
        return list(dict.fromkeys(language for _, _, language in self.cells if language is not PRE))

    def mean(self, method: str | None = None, data: str | None = None, language: str | None = PRE) -> Pair | None:
        """Mean over the cells of one language (PRE: not mid-trained), and of one method or data set where given."""
        return _mean(self._some(method, data, language).values())

    def gain(self, language: str) -> Pair | None:
        """What mid-training on a language gains, per cent: 1 - mean(mid-trained) / mean(pre-trained only), a ratio of means over the encoders that have both."""
        pre, mid = self._some(None, None, PRE), self._some(None, None, language)
        both = pre.keys() & mid.keys()
        return relative_gain(_mean([mid[key] for key in sorted(both)]), _mean([pre[key] for key in sorted(both)]))

    def method_row(self, method: str) -> Pair | None:
        """The paper's row of a method: mean of (its mean without mid-training, its mean over all mid-trained cells); None where either is missing."""
        mid = _mean([pair for language in self.languages() for pair in self._some(method, None, language).values()])
        pre = self.mean(method=method)
        return None if pre is None or mid is None else _mean([pre, mid])

    def _some(self, method: str | None, data: str | None, language: str | None) -> dict[tuple[str, str], Pair]:
        return {(m, d): pair for (m, d, spoken), pair in self.cells.items() if spoken == language and method in (None, m) and data in (None, d)}


def relative_gain(new: Pair | None, old: Pair | None) -> Pair | None:
    """Per cent by which `new` is lower than `old`; negative where it is higher."""
    return None if new is None or old is None else tuple(100 * (1 - n / o) for n, o in zip(new, old))


def paper() -> WordErrors:
    """The paper's own table."""
    content = yaml.safe_load(Path(__file__).with_name("paper_wer.yaml").read_text(encoding="utf-8"))
    cells = {
        (row["method"], row["data"], PRE if key == "pre" else key): tuple(value)
        for row in content["rows"] for key, value in row.items() if key not in ("method", "data")
    }  # fmt: skip
    return WordErrors(cells, tuple(content["scratch"]["wer"]))


def _mean(pairs) -> Pair | None:
    pairs = list(pairs)
    return tuple(map(fmean, zip(*pairs))) if pairs else None
