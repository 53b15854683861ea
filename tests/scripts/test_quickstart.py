"""The quickstart's job runner and report, without training anything."""

import json

import pytest

from mmpt.scripts import comparison
from mmpt.scripts.comparison import ENCODERS, Job, compare, finished, run_stock
from mmpt.scripts.quickstart_report import markdown_table, write_report
from mmpt.upstream.errors import InputError


def result(task, encoder, best=True, **score):
    return {"task": task, "encoder": encoder, "score": score, "utterances": 25, "checkpoint_is_best_on_dev": best}


@pytest.fixture
def results():
    ks = [result("ks", name, acc=0.1 * i) for i, name in enumerate(ENCODERS)]
    asr = [result("asr", name, best=name != "fbank", wer=1.0 - 0.1 * i, cer=0.7) for i, name in enumerate(ENCODERS)]
    return ks + asr


def test_table_has_each_figure_and_marks_last_checkpoints(results):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown_table(results).splitlines()]
    assert rows[0][1:] == ["log-mel FBANK", "untrained", "pre-trained", "+ mid-trained"]
    assert rows[2][1:] == ["0.0", "10.0", "20.0", "30.0"]
    assert rows[3][1:] == ["100.0 *", "90.0", "80.0", "70.0"]
    assert rows[4][1:] == ["70.0 *", "70.0", "70.0", "70.0"]


def test_report_is_written_with_what_it_says(results, tmp_path):
    text = write_report(results, tmp_path, minutes=3.21)
    assert "3.2 minutes" in text and "run_downstream.py" in text
    assert json.loads((tmp_path / "results.json").read_text())["results"] == results
    assert markdown_table(results) in (tmp_path / "report.md").read_text()


def test_finished_jobs_are_reused_until_encoder_or_settings_change(tmp_path, monkeypatch):
    encoder = tmp_path / "encoder.pt"
    encoder.write_bytes(b"one")
    (tmp_path / "built.json").write_text('{"version": 1, "sources": "a"}')
    job = Job("ks", "pretrained", encoder, tmp_path / "ks", tmp_path)
    job.folder.mkdir()
    stored = result("ks", "pretrained", acc=0.5) | {"fingerprint": job.fingerprint()}
    (job.folder / "result.json").write_text(json.dumps(stored))
    monkeypatch.setattr(comparison, "run_job", lambda *_: pytest.fail("ran again"))
    assert compare([job], workers=1) == [stored]
    encoder.write_bytes(b"two")
    assert finished(job) is None


def test_progress_is_told_and_the_log_kept(tmp_path):
    steps = []
    bar = "import sys; [sys.stderr.write(f'\\roverall: {i}0%|## | {i}/10 [00:01<00:02]') for i in range(11)]"
    run_stock(Job("ks", "fbank", None, tmp_path, tmp_path), ["-c", bar], "train.log", steps.append)
    assert sum(steps) == 10 and "10/10" in (tmp_path / "train.log").read_text()


def test_failed_job_shows_the_end_of_its_log(tmp_path):
    with pytest.raises(InputError, match="ks with fbank failed.*no such thing"):
        run_stock(Job("ks", "fbank", None, tmp_path, tmp_path), ["-c", "raise SystemExit('no such thing')"], "train.log", print)
