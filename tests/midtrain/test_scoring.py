"""Scores are sacrebleu's, with their signatures, and examples are sorted from the best to the worst."""

from pathlib import Path

import pytest
from sacrebleu.metrics import BLEU, CHRF

from mmpt.midtrain.scoring import example_table, score_translations, tokenizer
from mmpt.midtrain.segments import Segment

REFERENCES = [f"questa è la frase numero {n} di molte" for n in range(30)]
HYPOTHESES = [" ".join(text.split()[: 1 + n % 8]) + " | x" * (n % 3) for n, text in enumerate(REFERENCES)]
SEGMENTS = [Segment(f"ted_{n}", Path("a.wav"), 0, 1, f"sentence | {n}", text) for n, text in enumerate(REFERENCES)]


def test_scores_equal_sacrebleu():
    found = score_translations(HYPOTHESES, REFERENCES, "it")
    assert found.bleu == BLEU().corpus_score(HYPOTHESES, [REFERENCES]).score
    assert found.chrf == CHRF().corpus_score(HYPOTHESES, [REFERENCES]).score
    assert "tok:13a" in found.signatures["BLEU"] and "nc:6" in found.signatures["chrF"]
    assert all(signature in line for signature, line in zip(found.signatures.values(), found.lines))
    assert score_translations(REFERENCES, REFERENCES, "it").bleu == pytest.approx(100)


def test_intervals_are_those_of_sacrebleus_bootstrap():
    found = score_translations(HYPOTHESES, REFERENCES, "it", with_intervals=True)
    for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())):
        expected = metric.corpus_score(HYPOTHESES, [REFERENCES], n_bootstrap=1000)
        low, high = found.intervals[name]
        assert (low, high) == pytest.approx((expected._mean - expected._ci, expected._mean + expected._ci), rel=1e-4)
        assert (
            low < expected.score < high and f"{name} {expected.score:.1f}, 95 % interval {low:.1f} to" in found.lines[0]
        )
        assert found.signatures[name] == str(metric.get_signature()) and "bs:1000|seed:12345" in found.signatures[name]


def test_intervals_of_hopeless_translations_lie_inside_the_scale():
    """In most resamples, no character is right: sacrebleu's corpus_score fails on them."""
    found = score_translations([*["x"] * 29, "questa"], REFERENCES, "it", with_intervals=True)
    assert found.intervals["BLEU"][0] == 0 and 0 == found.intervals["chrF"][0] < found.intervals["chrF"][1]
    assert score_translations(REFERENCES, REFERENCES, "it", with_intervals=True).intervals["BLEU"][1] <= 100
    assert score_translations(["a"], ["b"], "it", with_intervals=True).intervals == {}


def test_scripts_without_spaces_have_another_tokenizer():
    text, other = ["今天天气很好。"], ["今天天气不好。"]
    assert "tok:zh" in score_translations(text, text, "zh").signatures["BLEU"]
    assert tokenizer("ja") in ("ja-mecab", "char") and tokenizer("de") == "13a"
    assert score_translations(other, text, "zh").bleu > score_translations(other, text, "it").bleu


def test_examples_are_sorted_from_the_best_to_the_worst():
    page = example_table("title", score_translations(HYPOTHESES, REFERENCES, "it"), SEGMENTS, HYPOTHESES)
    rows = [line for line in page.splitlines() if line.endswith("|") and "ted_" in line]
    values = [float(row.split("|")[1]) for row in rows]
    assert len(rows) == 20 and values == sorted(values, reverse=True)
    rated = [CHRF().sentence_score(h, [r]).score for h, r in zip(HYPOTHESES, REFERENCES)]
    assert values[0] == pytest.approx(max(rated), abs=0.05) and values[-1] == pytest.approx(min(rated), abs=0.05)
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)  # bars in a text are escaped
    assert len(example_table("t", score_translations(["a"], ["b"], "it"), SEGMENTS[:1], ["a"]).splitlines()) == 10
