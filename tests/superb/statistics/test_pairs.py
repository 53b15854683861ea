"""Declared pairs over all tasks, corrected together, and the sentences about them."""

import pytest

from mmpt.superb.results import read_results
from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.holm import holm
from mmpt.superb.statistics.metrics import is_better, shown_metrics, title
from mmpt.superb.statistics.pairs import compare_pairs
from mmpt.superb.statistics.wording import format_p, pair_lines, rate_notes, signed, training_notes, verdict

from helpers import predicted_run

WRONG = {"ks": 0.5, "pr": 0.5, "asr": 0.6}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Encoders of one run by name."""
    root = tmp_path_factory.mktemp("run")
    shares = {"base": WRONG, "good": {**WRONG, "pr": 0.2}, "bad": {"ks": 0.9, "pr": 0.8}}
    content = read_results(predicted_run.write(root, shares))
    return {name: EncoderInRun(name, content, root) for name in shares}


@pytest.fixture(scope="module")
def compared(encoders):
    return compare_pairs([(encoders["base"], encoders["good"]), (encoders["base"], encoders["bad"])])


def test_all_pairs_and_tasks_are_corrected_together(compared):
    rows, problems = compared
    assert [(row["encoder"], row["task"], row["metric"]) for row in rows] == [
        ("good", "ks", "acc"),
        ("good", "pr", "per"),
        ("good", "asr", "cer"),
        ("bad", "ks", "acc"),
        ("bad", "pr", "per"),
    ]
    assert [row["p_corrected"] for row in rows] == holm([row["p"] for row in rows])
    assert all(row["told_apart"] == (row["p_corrected"] < 0.05) for row in rows)
    assert problems == ["bad against base, ASR: not compared: only base was tested"]
    for row in rows:
        first, second = row["scores"]
        assert row["difference"] == pytest.approx(second - first) and row["low"] < row["difference"] < row["high"]
        assert row["baseline"] == "base" and row["clusters"] == 12 and row["items"] == 120
        assert (row["mcnemar_p"] is None) == (row["task"] != "ks") and row["smallest"] > 0


def test_each_pair_gets_a_sentence(compared):
    assert pair_lines(compared[0]) == [
        "good is better than base on PR; they cannot be told apart on KS and ASR",
        "bad is worse than base on KS and PR",
    ]


def test_a_verdict_names_better_worse_and_equal():
    about = {"metric": "acc", "items": 258}
    better = {**about, "task": "ks", "difference": 0.1, "told_apart": True}
    worse = {**about, "task": "ic", "difference": -0.1, "told_apart": True}
    equal = {**about, "task": "sd", "difference": 0.1, "told_apart": False}
    assert verdict([better, worse, equal], "A", "B") == (
        "B is better than A on KS; worse on IC; they cannot be told apart on SD (258 recordings)"
    )
    assert verdict([equal, {**equal, "task": "ks"}], "A", "B") == (
        "B and A cannot be told apart on SD (258 recordings) and KS (258 clips)"
    )
    assert is_better("per", -0.1) and not is_better("per", 0.1) and is_better("acc", 0.1)


def test_learning_rates_are_warned_of_unless_dev_chose_them_alike(tmp_path):
    made = {}
    for name, rates in (("grid", (0.001, 0.1)), ("fixed", (0.1,))):
        root = predicted_run.write(tmp_path / name, {"e": {"ks": 0.5}}, rates=rates)
        made[name] = EncoderInRun("e", read_results(root), root, label=name)
    grid, fixed = made["grid"], made["fixed"]
    assert rate_notes((grid, grid), ["ks"]) == [
        "Learning rates on KS: chosen on dev from 0.001, 0.1, the same grid for both."
    ]
    [note] = rate_notes((fixed, fixed), ["ks"])
    assert note.startswith("Warning: a fixed learning rate on KS: 0.1 for both")
    [note] = rate_notes((grid, fixed), ["ks"])
    assert note == "Warning: no common grid of learning rates on KS: 0.001, 0.1 for grid, 0.1 for fixed."
    assert training_notes((grid, fixed), ["ks"]) == []
    fixed.jobs("ks")[0]["steps"] = 20
    [note] = training_notes((grid, fixed), ["ks"])
    assert note.endswith("10 steps for grid, 20 for fixed.")


def test_names_and_numbers():
    assert shown_metrics("asr") == ["cer", "wer"] and shown_metrics("sd") == ["der"]
    assert title("asr", "test-other", "wer") == "ASR other WER ↓" and title("ks", "test", "acc") == "KS accuracy ↑"
    assert (format_p(None), format_p(0.0004), format_p(0.04)) == ("-", "<0.001", "0.040")
    assert (signed(0.0312), signed(-0.5)) == ("+3.1", "−50.0")
