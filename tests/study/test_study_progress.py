"""The line of a whole study: its time goes on while a part, such as translating a test, gets no further."""

import io

import pytest

from mmpt.study import progress


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Return the time in seconds, to be set by a test."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_half_minute_though_no_part_gets_on(clock, monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    with progress.StudyProgress(100.0, 0.0, "quick") as study, study.part("clr_it, training", 10.0) as part:
        for passed in (10, 35, 50, 70):
            clock[0] = 100.0 + passed
            part.reach(0.9)
        written = log.getvalue().splitlines()
    assert [line.split(" passed")[0] for line in written] == ["quick: 9 %, 00:35", "quick: 9 %, 01:10"]
    assert all(line.endswith("clr_it, training") for line in written)
