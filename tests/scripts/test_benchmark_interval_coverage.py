import csv
import json
from collections import Counter

import numpy as np
import pytest

from mmpt.scripts.benchmark import interval_coverage
from mmpt.scripts.benchmark.interval_coverage import check
from mmpt.scripts.benchmark.made_up_scores import DESIGNS, INTENTS, MIXTURES, UTTERANCES, WORDS, Nature


@pytest.mark.parametrize(
    "design, nature",
    [("KS 30", Nature(0.1, 0.15, 3)), ("IC", Nature(0.02, 0.0, 1))],  # the bootstrap, and Student's t
)
def test_intervals_hold_the_truth_and_tests_keep_their_level_and_power(design, nature, monkeypatch):
    monkeypatch.setattr(interval_coverage, "RESAMPLES", 499)
    shares = check(DESIGNS[design], nature, sets=250)
    # Chance moves the shares of 250 sets by some 1.2, 1.4 and 2.5 points.
    assert 0.915 < shares.interval < 0.985
    assert shares.level < 0.095
    assert 0.72 < shares.power < 0.9


@pytest.mark.parametrize("name", ["KS 70", "ASR", "SD"])
def test_made_up_sets_have_the_true_score(name):
    design = DESIGNS[name]
    pairs = list(design.sets(60, Nature(0.02, 0.05, 3), shift=0.02))
    measured = [np.mean([items.score for items in encoder]) for encoder in zip(*pairs)]
    assert measured == pytest.approx([design.score - 0.01, design.score + 0.01], abs=0.02)


def sizes(groups) -> list[int]:
    return sorted(Counter(groups).values(), reverse=True)


def test_the_designs_have_the_sizes_of_the_samples_tests(built_samples):
    words = [
        f.name if f.parent.name == "_silence_" else f.name.split("_")[0]
        for f in (built_samples / "speech_commands_test_set_v0.01").glob("*/*.wav")
    ]
    assert sizes(words) == WORDS.tolist()
    utterances = [f.parts[-3] for f in (built_samples / "LibriSpeech/test-clean").glob("*/*/*.flac")]
    assert sizes(utterances) == UTTERANCES.tolist()
    with (built_samples / "fluent_speech_commands_dataset/data/test_data.csv").open() as file:
        assert sizes(row["speakerId"] for row in csv.DictReader(file)) == INTENTS.tolist()
    mixtures = [line.split()[0] for line in (built_samples / "diarization/test/reco2dur").read_text().splitlines()]
    assert len(mixtures) == MIXTURES


def test_the_output_is_a_table_or_json(capsys):
    assert interval_coverage.main(["--designs", "IC", "--sets", "2", "--seeds", "1", "--correlations", "0.1"]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("| IC | 1 | 0.1 | ")
    assert interval_coverage.main(["--designs", "SD", "--sets", "2", "--seeds", "3", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["design"], first["seeds"], first["correlation"], second["correlation"]) == ("SD", 3, 0.02, 0.1)


def test_an_unknown_design_is_an_error(capsys):
    assert interval_coverage.main(["--designs", "KS"]) == 2
    assert "--designs must be some of KS 30, KS 70" in capsys.readouterr().err
