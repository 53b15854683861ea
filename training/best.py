"""The best validation of a run."""

import math


class Best:
    """The lowest value of all validations so far, and the number of validations since then."""

    def __init__(self, value: float | None = None, since: int = 0):
        self.value, self.since = value, since

    def add(self, value: float) -> bool:
        """Add a validation; return True if it is the best so far. NaN and infinity never are."""
        is_best = math.isfinite(value) and (self.value is None or value < self.value)
        self.value, self.since = (value, 0) if is_best else (self.value, self.since + 1)
        return is_best

    def disappointment(self, metric: str) -> str:
        """Return in words what came since the best validation; `metric` is the name of the value."""
        missing = f"a finite {metric}" if self.value is None else f"a better {metric} than {self.value:.4g}"
        return f"{self.since} validations without {missing}"
