"""Progress lines in logs: a line now and then, one at the end, and no control characters."""

import io

import pytest

from mmpt.upstream.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that a test moves on: a list of one number, in seconds."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.time", lambda: now[0])
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_half_minute_and_the_last_one(clock):
    log = io.StringIO()
    with Progress(total=100, unit="step", desc="train", file=log, dynamic_ncols=True) as bar:
        for step in range(100):
            clock[0] += 1.0
            bar.update()
            bar.set_postfix_str(f"loss {step}")
    lines = log.getvalue().splitlines()
    assert lines[0] == "train: step 30 of 100 (30 %), 1 step/s, 01:10 left, after 00:30, loss 28"
    assert lines[-1] == "train: step 100 of 100 (100 %), 1 step/s, after 01:40, loss 99"
    assert len(lines) == 4 and "\r" not in log.getvalue()


def test_lines_of_others_are_written_between_and_redraw_nothing():
    log = io.StringIO()
    with Progress(total=3, file=log) as bar:
        bar.update()
        bar.write("step 1: loss 3", file=log)
        bar.update(2)
    first, last = log.getvalue().splitlines()
    assert first == "step 1: loss 3" and last.startswith("3 of 3 (100 %), ")


def test_short_loops_inside_others_leave_nothing_in_a_log():
    log = io.StringIO()
    assert list(Progress(range(5), leave=False, file=log)) == [0, 1, 2, 3, 4]
    assert list(Progress(range(5), disable=True, file=log)) == [0, 1, 2, 3, 4]
    assert log.getvalue() == ""


def test_slow_items_have_seconds_each_and_unknown_totals_no_end(clock):
    bar = Progress(desc="files", unit="file", file=io.StringIO())
    clock[0] += 10
    bar.update(4)
    assert bar.line() == "files: file 4, 2.5 s/file, after 00:10"


def test_a_resumed_run_counts_its_own_rate(clock):
    bar = Progress(total=1000, initial=900, unit="step", file=io.StringIO())
    clock[0] += 50
    bar.update(50)
    assert bar.line() == "step 950 of 1,000 (95 %), 1 step/s, 00:50 left, after 00:50"


def test_a_terminal_gets_tqdms_bar():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    for _ in Progress(range(3), desc="train", file=screen):
        pass
    assert "\rtrain: 100%|" in screen.getvalue() and "of 3" not in screen.getvalue()
