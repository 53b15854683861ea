"""Scores come with what makes them comparable, and examples go from the best to the worst."""

from pathlib import Path

import pytest
from sacrebleu.metrics import BLEU, CHRF

from mmpt.midtrain.scoring import example_table, score_translations, tokenizer
from mmpt.midtrain.segments import Segment

REFERENCES = [f"questa è la frase numero {n} di molte" for n in range(30)]
HYPOTHESES = [" ".join(text.split()[: 1 + n % 8]) + " | x" * (n % 3) for n, text in enumerate(REFERENCES)]
SEGMENTS = [Segment(f"ted_{n}", Path("a.wav"), 0, 1, f"sentence | {n}", text) for n, text in enumerate(REFERENCES)]


def test_scores_are_sacrebleu_s():
    found = score_translations(HYPOTHESES, REFERENCES, "it")
    assert (
        found.bleu == BLEU().corpus_score(HYPOTHESES, [REFERENCES]).score
        and found.chrf == CHRF().corpus_score(HYPOTHESES, [REFERENCES]).score
    )
    assert "tok:13a" in found.signatures["BLEU"] and "nc:6" in found.signatures["chrF"]
    assert all(signature in line for signature, line in zip(found.signatures.values(), found.lines))
    assert score_translations(REFERENCES, REFERENCES, "it").bleu == pytest.approx(100)


def test_scripts_without_spaces_are_cut_otherwise():
    text = ["今天天气很好。"]
    assert (
        "tok:zh" in score_translations(text, text, "zh").signatures["BLEU"]
        and tokenizer("ja") in ("ja-mecab", "char")
        and tokenizer("de") == "13a"
    )
    assert (
        score_translations(["今天天气不好。"], text, "zh").bleu
        > score_translations(["今天天气不好。"], text, "it").bleu
    )


def test_examples_go_from_the_best_to_the_worst():
    page = example_table("title", score_translations(HYPOTHESES, REFERENCES, "it"), SEGMENTS, HYPOTHESES)
    rows = [line for line in page.splitlines() if line.endswith("|") and "ted_" in line]
    values = [float(row.split("|")[1]) for row in rows]
    assert len(rows) == 20 and values == sorted(values, reverse=True)
    rated = [CHRF().sentence_score(h, [r]).score for h, r in zip(HYPOTHESES, REFERENCES)]
    assert values[0] == pytest.approx(max(rated), abs=0.05) and values[-1] == pytest.approx(min(rated), abs=0.05)
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)  # a text's own bars end no cell
    assert len(example_table("t", score_translations(["a"], ["b"], "it"), SEGMENTS[:1], ["a"]).splitlines()) == 10
