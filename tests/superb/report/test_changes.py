"""Changes are positive where a score is better; their intervals are those of paired comparisons of the same seeds."""

import pytest

from mmpt.superb.report.changes import change, gain_intervals
from mmpt.superb.report.rows import EncoderRow, Score

KS, CER, WER = ("ks", "test", "acc"), ("asr", "test-clean", "cer"), ("asr", "test-clean", "wer")


def row(name: str, kind: str = "other", **scores: float) -> EncoderRow:
    cells = {"ks": KS, "cer": CER, "wer": WER}
    found = {cells[key]: Score({1: value / 100}) for key, value in scores.items()}
    return EncoderRow(name, kind, "CLR", "lrs3", "en-it" if kind == "mid-trained" else None, scores=found)


def compared(cell, difference: float, low: float, high: float) -> dict:
    task, split, metric = cell
    names = {"task": task, "split": split, "metric": metric, "baseline": "a", "encoder": "b"}
    return {**names, "difference": difference, "low": low, "high": high}


@pytest.mark.parametrize("metric, new, old, expected", [("ks", 60, 50, 20), ("cer", 40, 50, 20), ("cer", 60, 50, -20)])
def test_positive_is_better(metric, new, old, expected):
    cell = KS if metric == "ks" else CER
    found = change(row("b", **{metric: new}), row("a", **{metric: old}), cell, [])
    assert found.value == pytest.approx(expected) and found.interval is None


def test_no_change_without_both_scores_or_from_nothing():
    assert change(row("b", ks=1), row("a"), KS, []) is None
    assert change(row("b"), row("a", ks=1), KS, []) is None
    assert change(row("b", ks=1), row("a", ks=0), KS, []) is None


def test_an_interval_is_a_share_of_the_baseline_and_turned_where_less_is_better():
    comparisons = [compared(KS, 0.1, 0.05, 0.15), compared(CER, -0.1, -0.2, 0.0)]
    a, b = row("a", ks=50, cer=50), row("b", ks=60, cer=40)
    assert change(b, a, KS, comparisons).interval == pytest.approx((10, 30))
    assert change(b, a, CER, comparisons).interval == pytest.approx((0, 40))
    assert change(a, b, KS, comparisons).interval is None  # the comparison was the other way


def test_a_comparison_of_other_seeds_gives_no_interval():
    assert change(row("b", ks=61), row("a", ks=50), KS, [compared(KS, 0.1, 0.05, 0.15)]).interval is None


def test_a_gain_of_one_pair_has_the_pairs_interval_and_an_average_has_none():
    a, b = row("a", "pre-trained", wer=50), row("b", "mid-trained", wer=40)
    comparisons = [compared(WER, -0.1, -0.2, 0.0)]
    found = gain_intervals([a, b], comparisons)
    assert found.keys() == {("clean", "method", "CLR"), ("clean", "language", "en-it"), ("clean", "data", "lrs3")}
    assert all(ends == pytest.approx((0, 40)) for ends in found.values())
    german = row("c", "mid-trained", wer=45)
    german.language = "en-de"
    assert gain_intervals([a, b, german], comparisons).keys() == {("clean", "language", "en-it")}


def test_an_interval_holds_only_for_the_seeds_that_it_was_made_of():
    figure = {"values": [0.5, 0.7], "interval": {"low": 0.4, "high": 0.8, "method": "m"}, "by_cluster": {"7": 0.6}}
    score = Score()
    score.add([1, 2], figure, {"7": "Ann (7)"})
    assert score.interval == (40, 80) and score.by_speaker == {"Ann (7)": 60}
    score.add([1], {"values": [0.5]}, {})  # an older run with nothing new
    assert score.interval == (40, 80)
    score.add([3], {**figure, "values": [0.9]}, {})
    assert score.mean == pytest.approx(70) and score.interval is None and not score.by_speaker
    score.add([1, 2, 3], {**figure, "values": [0.5, 0.7, 0.9]}, {})
    assert score.interval == (40, 80) and score.by_speaker == {"7": 60}
