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
