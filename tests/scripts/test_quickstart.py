"""The quickstart's report, without training anything (its jobs: tests/scripts/superb)."""

import json

import pytest

from mmpt.scripts.quickstart_report import TITLES, write_report


def entry(task, encoder, split, best=True, **scores):
    figures = {metric: {"mean": value, "std": None, "values": [value]} for metric, value in scores.items()}
    return {"task": task, "encoder": encoder, "split": split, "utterances": 25, "best_on_dev": best, **figures}


@pytest.fixture
def folder(tmp_path):
    ks = [entry("ks", name, "test", acc=0.1 * i) for i, name in enumerate(TITLES)]
    asr = [
        entry("asr", name, "test-clean", best=name != "fbank", wer=1.0 - 0.1 * i, cer=0.7)
        for i, name in enumerate(TITLES)
    ]
    other = [entry("asr", name, "test-other", wer=0.123, cer=0.123) for name in TITLES]
    (tmp_path / "results.json").write_text(json.dumps({"summary": ks + asr + other}))
    return tmp_path


def test_table_has_each_figure_and_marks_last_checkpoints(folder):
    text = write_report(folder, minutes=3.21)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert rows[0][1:] == ["log-mel FBANK", "untrained", "pre-trained", "+ mid-trained"]
    assert rows[2][1:] == ["0.0", "10.0", "20.0", "30.0"]
    assert rows[3][1:] == ["100.0 *", "90.0", "80.0", "70.0"]
    assert rows[4][1:] == ["70.0 *", "70.0", "70.0", "70.0"]
    assert len(rows) == 5 and "12.3" not in text


def test_report_is_written_as_printed(folder):
    text = write_report(folder, minutes=3.21)
    assert "3.2 minutes" in text and "scripts/superb/run.py" in text and "25 (KS) and 25 (ASR)" in text
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    assert table in (folder / "report.md").read_text()
