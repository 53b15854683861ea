"""Results, a job's folder and a cache of states that an earlier version of run.py wrote (tests/kept)."""

import json
import shutil

import pytest

import mmpt.superb.bundles  # noqa: F401 (first imported by a test, its libmagic would start a process there)
from mmpt.scripts.superb.run import main

from helpers.kept import unpack
from helpers.stock_mocks import superb

HERE = "/proc/self/cwd"  # a job's fingerprint depends on the paths of its data
JOB = "out/ks/kept/lr-default-seed1337"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder as it was, its corpora of noise made again, as working directory."""
    folder = unpack("superb", tmp_path) / "superb"
    superb(folder / "noise")
    monkeypatch.chdir(folder)
    return folder


def run_again(*more: str) -> int:
    options = ["--limit", "2", "--device", "cpu", "--no-bundles", "--set", "downstream_expert.datarc.batch_size=4"]
    options += ["--set", "downstream_expert.modelrc.projector_dim=8", "--cache", f"{HERE}/states"]
    data = ["--tasks", "ks", "--data-root", f"{HERE}/noise", "--out", f"{HERE}/out"]
    return main(["--ckpt", f"{HERE}/kept/encoder.pt", *data, *options, *more])


def test_a_job_that_was_done_is_not_done_again(kept):
    before = json.loads((kept / "out/results.json").read_text())
    times = {file: file.stat().st_mtime_ns for file in (kept / JOB).rglob("*.log")}
    assert run_again() == 0
    assert {file: file.stat().st_mtime_ns for file in (kept / JOB).rglob("*.log")} == times
    after = json.loads((kept / "out/results.json").read_text())
    assert after["notes"] == before["notes"]
    [ours], [theirs] = after["summary"], before["summary"]
    added = {"interval", "by_cluster"}
    assert {name: ours[name] for name in theirs.keys() - {"acc"}} == {
        name: theirs[name] for name in theirs.keys() - {"acc"}
    }
    assert {name: value for name, value in ours["acc"].items() if name not in added} == theirs["acc"]
    assert added < ours["acc"].keys()
    for ours, theirs in zip(after["jobs"], before["jobs"], strict=True):
        assert {name: ours[name] for name in theirs} == theirs
    for ours, theirs in zip(after["encoders"], before["encoders"], strict=True):
        assert {name: ours[name] for name in theirs} == theirs


def test_a_second_encoder_is_compared_with_the_first(kept, capsys):
    """It has the weights and the predictions of the first one."""
    shutil.copytree(kept / "out/ks/kept", kept / "out/ks/twin")
    assert run_again("--ckpt", f"twin={HERE}/kept/encoder.pt") == 0
    [row] = json.loads((kept / "out/results.json").read_text())["comparisons"]
    assert (row["baseline"], row["encoder"], row["task"], row["difference"]) == ("kept", "twin", "ks", 0)
    assert row["p_corrected"] == 1 and not row["told_apart"]
    assert "\ntwin and kept cannot be told apart on KS\n" in capsys.readouterr().out


@pytest.mark.slow
def test_a_job_that_was_trained_is_scored_from_the_cache(kept):
    """The old head's checkpoint and the old states give the old score."""
    before = json.loads((kept / JOB / "result.json").read_text())
    predicted = (kept / JOB / "experiment/test_predict.txt").read_text()
    (kept / JOB / "result.json").unlink()
    (kept / JOB / "experiment/test_predict.txt").unlink()
    assert run_again() == 0
    assert json.loads((kept / JOB / "result.json").read_text()) == before
    assert (kept / JOB / "experiment/test_predict.txt").read_text() == predicted
    assert " 0 computed" in (kept / JOB / "evaluate.log").read_text().rsplit("\n$ ", 1)[1]


def test_a_job_of_other_settings_is_refused(kept, capsys):
    about = json.loads((kept / JOB / "job.json").read_text())
    (kept / JOB / "job.json").write_text(json.dumps({**about, "fingerprint": "0" * 64}))
    assert run_again() == 2
    assert "other settings" in capsys.readouterr().err
