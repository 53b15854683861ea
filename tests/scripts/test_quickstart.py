"""The quickstart's report, without training anything (its jobs: tests/scripts/superb)."""

from mmpt.scripts import quickstart_stages
from mmpt.scripts.quickstart_report import demo_note, write_report
from mmpt.scripts.quickstart_stages import BASELINE, RATES, make_encoders
from mmpt.upstream import repository

RESULTS = "| test, % | untrained |\n|---|---|\n| KS acc ↑ | 24.3 (20.1–28.5) |"


def test_report_is_written_as_printed(tmp_path):
    text = write_report(tmp_path, RESULTS, minutes=3.21)
    assert "3.2 minutes" in text and "scripts/superb/run.py" in text
    assert text.startswith(RESULTS) and RESULTS in (tmp_path / "report.md").read_text()


def test_every_task_has_one_grid_for_all_encoders():
    assert list(RATES) == ["ks", "pr", "asr"] and all(len(rates) > 1 for rates in RATES.values())
    assert BASELINE == "untrained"


def test_the_encoder_in_the_box_gets_a_column_if_it_is_there(tmp_path, monkeypatch):
    for name in ("untrained", "pretrained", "midtrained"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "encoder.pt").touch()
    (tmp_path / "built.json").touch()
    monkeypatch.setattr(quickstart_stages, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(quickstart_stages, "train", lambda *_, **__: None)
    monkeypatch.setattr(repository, "REPOSITORY", tmp_path)
    names = ["fbank", "untrained", "pretrained", "midtrained"]
    assert [encoder.name for encoder in make_encoders(tmp_path)] == names
    demo = tmp_path / "samples/encoders/demo.pt"
    demo.parent.mkdir(parents=True)
    demo.touch()
    encoders = make_encoders(tmp_path)
    assert [encoder.name for encoder in encoders] == [*names, "demo"] and encoders[-1].checkpoint == demo


def test_the_note_names_what_the_encoder_in_the_box_was_trained_on():
    clr = {"stage": "pretrain", "data": "sounds+speech-games", "steps": 9000}
    note = " ".join(demo_note({"stages": [clr, {"stage": "midtrain", "data": "must_c en-it", "steps": 80}]}).split())
    assert "trained for hours, not by this quickstart: 9,000 steps of pretrain on sounds, speech-games" in note
    assert "80 steps of midtrain on must_c en-it." in note
