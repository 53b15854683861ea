"""The quickstart's report, without training anything (its jobs: tests/scripts/superb)."""

from mmpt.scripts.quickstart_report import write_report
from mmpt.scripts.quickstart_stages import BASELINE, RATES

RESULTS = "| test, % | untrained |\n|---|---|\n| KS acc ↑ | 24.3 (20.1–28.5) |"


def test_report_is_written_as_printed(tmp_path):
    text = write_report(tmp_path, RESULTS, minutes=3.21)
    assert "3.2 minutes" in text and "scripts/superb/run.py" in text
    assert text.startswith(RESULTS) and RESULTS in (tmp_path / "report.md").read_text()


def test_every_task_has_one_grid_for_all_encoders():
    assert list(RATES) == ["ks", "pr", "asr"] and all(len(rates) > 1 for rates in RATES.values())
    assert BASELINE == "untrained"
