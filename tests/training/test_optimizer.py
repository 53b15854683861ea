"""The learning rate's schedule."""

import pytest

from mmpt.training.optimizer import learning_rate
from mmpt.training.settings import OptimSettings


def test_learning_rate_warms_up_and_decays():
    cosine = OptimSettings(steps=100, lr=1.0, warmup_steps=10)
    assert [learning_rate(s, cosine) for s in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert learning_rate(55, cosine) == pytest.approx(0.5) and learning_rate(99, cosine) < 1e-3
    root = OptimSettings(steps=100, lr=1.0, warmup_steps=10, schedule="inverse_sqrt")
    assert learning_rate(39, root) == pytest.approx(0.5)
