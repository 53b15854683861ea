"""How long a training took, in all calls together, whatever ended them."""

import shutil

import pytest

from mmpt.study import training
from mmpt.study.training import keep_minutes, minutes, timed


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose only number is the time, in seconds."""
    now = [100.0]
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    return now


def test_the_time_of_all_calls_is_added(tmp_path, clock):
    folder = tmp_path / "clr"
    assert minutes(folder) is None
    with timed(folder):
        folder.mkdir()
        clock[0] += 120
    assert minutes(folder) == 2
    interrupted = timed(folder)
    note = interrupted.__enter__()
    clock[0] += 30
    note()
    assert minutes(folder) == 2.5  # what a kill would leave
    clock[0] += 30
    interrupted.__exit__(SystemExit, SystemExit(130), None)
    assert minutes(folder) == 3


def test_a_training_that_starts_again_has_its_own_time(tmp_path, clock):
    folder = tmp_path / "clr"
    folder.mkdir()
    keep_minutes(folder, 9.0)
    keep_minutes(folder, 7.0)  # is known already
    assert minutes(folder) == 9
    with timed(folder) as note:
        shutil.rmtree(folder)
        note()
        folder.mkdir()
        clock[0] += 60
    assert minutes(folder) == 1


def test_a_training_that_was_there_takes_none(tmp_path, clock):
    (tmp_path / "encoder.pt").touch()
    for known in (None, 4.0):
        keep_minutes(tmp_path, known)
        with timed(tmp_path):
            clock[0] += 60
        assert minutes(tmp_path) == known
