"""Intervals in results.json."""

import json
import shutil

import pytest

from mmpt.superb.results import read_results
from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.summary import add_statistics

from helpers import predicted_run

WRONG = {"ks": 0.3, "ic": 0.2, "pr": 0.4, "asr": 0.6, "sd": 0.1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return predicted_run.write(tmp_path_factory.mktemp("run"), {"a": WRONG}, seeds=(1, 2), rates=(0.01, 0.1))


def test_each_metric_has_an_interval_and_each_main_metric_its_speakers(run):
    content = read_results(run)
    for entry in content["summary"]:
        assert entry["lr_grid"] == [0.01, 0.1] and entry["lr_chosen_on_dev"]
        metrics = {name: value for name, value in entry.items() if isinstance(value, dict)}
        assert len(metrics) == (2 if entry["task"] in ("asr", "sd") else 1)
        for metric, figures in metrics.items():
            found = figures["interval"]
            assert 0 <= found["low"] < figures["mean"] < found["high"] and found["clusters"] == 12
            assert "12" in found["method"]
            speakers = figures.get("by_cluster", {})
            assert len(speakers) == (0 if (entry["task"], metric) == ("sd", "acc") else 12)
            if speakers:
                assert min(speakers.values()) < figures["mean"] < max(speakers.values())


def test_a_run_that_was_moved_is_read_where_it_lies(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "elsewhere")
    content = json.loads((moved / "results.json").read_text().replace(str(run), "/gone/run"))
    encoder = EncoderInRun("a", content, moved)
    assert len(encoder.items("pr", "test")["per"].counts) == 2
    assert encoder.items("pr", "test") is encoder.items("pr", "test")


def test_predictions_that_are_not_those_scored_give_no_interval(run, tmp_path):
    root = predicted_run.write(tmp_path, {"a": {"ks": 0.3}}, intervals=False)
    content = read_results(root)
    file = root / "ks/a/lr0.1-seed1/experiment/test_predict.txt"
    file.write_text(file.read_text().replace(" no\n", " yes\n", 1))
    [problem] = add_statistics(content["summary"], {"a": EncoderInRun("a", content, root)})
    assert problem.startswith("ks a: no interval: ") and "run it again" in problem
    assert "interval" not in content["summary"][0]["acc"]
    assert content["summary"][0]["lr_grid"] == [0.1] and not content["summary"][0]["lr_chosen_on_dev"]
    file.unlink()
    [problem] = add_statistics(content["summary"], {"a": EncoderInRun("a", content, root)})
    assert "test_predict.txt: No such file" in problem
