"""The quickstart's report, without training anything (its jobs: tests/scripts/superb)."""

import threading
import time
from types import SimpleNamespace

import pytest

from mmpt.scripts import quickstart_stages
from mmpt.scripts.quickstart_report import demo_note, write_report
from mmpt.scripts.quickstart_stages import make_encoders
from mmpt.upstream import repository

RESULTS = "| test, % | untrained |\n|---|---|\n| KS acc ↑ | 24.3 (20.1–28.5) |"


def test_report_is_written_as_printed(tmp_path):
    text = write_report(tmp_path, RESULTS, minutes=3.21)
    assert "3.2 minutes" in text and "scripts/superb/run.py" in text
    assert text.startswith(RESULTS) and RESULTS in (tmp_path / "report.md").read_text()


def test_the_encoder_in_the_box_gets_a_column_if_it_is_there(tmp_path, monkeypatch):
    for name in ("untrained", "pretrained"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "encoder.pt").touch()
    (tmp_path / "built.json").touch()
    monkeypatch.setattr(quickstart_stages, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(quickstart_stages, "train", lambda *_, **__: None)
    monkeypatch.setattr(
        quickstart_stages, "head_jobs", lambda there, _: names_there.extend(e.name for e in there) or []
    )
    names_there: list[str] = []
    monkeypatch.setattr(repository, "REPOSITORY", tmp_path)
    names = ["fbank", "untrained", "pretrained", "midtrained"]
    assert [encoder.name for encoder in make_encoders(tmp_path, None)] == names
    assert names_there == names[:3]  # while the fourth is trained
    demo = tmp_path / "samples/encoders/demo.pt"
    demo.parent.mkdir(parents=True)
    demo.touch()
    encoders = make_encoders(tmp_path, None)
    assert [encoder.name for encoder in encoders] == [*names, "demo"] and encoders[-1].checkpoint == demo


@pytest.fixture
def executed(monkeypatch):
    """The jobs that are executed while `training` runs; the training ends during the third."""
    jobs, enough = [], threading.Event()

    def execute(some, evaluate, executor, at_a_time, title, bar_of):
        jobs.extend(job.name for job in some)
        if len(jobs) == 3:
            enough.set()
            time.sleep(0.2)

    monkeypatch.setattr(quickstart_stages, "CORES", 2)
    monkeypatch.setattr("mmpt.superb.executor.execute", execute)
    return jobs, enough


def test_a_second_core_trains_heads_until_the_training_ends(executed):
    jobs, enough = executed
    quickstart_stages.beside(lambda: enough.wait(60) or None, [SimpleNamespace(name=n) for n in range(9)], None)
    assert jobs == [0, 1, 2]


def test_one_core_trains_no_heads_beside_the_training(executed, monkeypatch):
    monkeypatch.setattr(quickstart_stages, "CORES", 1)
    quickstart_stages.beside(lambda: None, [SimpleNamespace(name="ks")], None)
    assert executed[0] == []


def test_what_interrupts_the_heads_ends_the_training(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    ended = threading.Event()
    monkeypatch.setattr(quickstart_stages, "CORES", 2)
    monkeypatch.setattr(quickstart_stages, "end_commands", ended.set)
    monkeypatch.setattr("mmpt.superb.executor.execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quickstart_stages.beside(lambda: ended.wait(60) or None, [SimpleNamespace(name="ks")], None)
    assert ended.is_set()


def test_a_training_that_fails_is_reported(executed):
    def fail():
        raise SystemExit(2)

    with pytest.raises(SystemExit):
        quickstart_stages.beside(fail, [], None)


def test_the_note_names_what_the_encoder_in_the_box_was_trained_on():
    clr = {"stage": "pretrain", "data": "sounds+speech-games", "steps": 9000}
    note = " ".join(demo_note({"stages": [clr, {"stage": "midtrain", "data": "must_c en-it", "steps": 80}]}).split())
    assert "trained for hours, not by this quickstart: 9,000 steps of pretrain on sounds, speech-games" in note
    assert "80 steps of midtrain on must_c en-it." in note
