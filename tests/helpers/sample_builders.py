"""What stands in for the store and the pool of scripts/samples, so that a corpus is built from made-up sound."""

import numpy as np

RATE = 16000


class Ramps:
    """In place of the store: every recording is a ramp of two seconds, or is as long as `seconds` tells."""

    def __init__(self, **seconds: float):
        self.seconds = seconds

    def load(self, source: str) -> np.ndarray:
        length = int(RATE * self.seconds.get(source.partition("/")[0], 2))
        return np.linspace(0, 0.5, length, dtype=np.float32)


class Here:
    """In place of the pool: everything is done in this process."""

    def run(self, title, make, items):
        return [make(item) for item in items]
