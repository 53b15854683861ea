"""A study's aims and the sentences to take away: by what was shown, and not by the score alone."""

import json
from dataclasses import replace

import pytest

from mmpt.study.aims import aims
from mmpt.study.scored import COUNTED, read_scored
from mmpt.study.takeaway import TRIAL, takeaway

from helpers import made_up_study as made_up

BLEU = {"none_it": 1.0, "clr_it": 3.0, "mae_it": 3.0, "mae_clr_it": 3.0}


def scored(folder, *args, **options):
    return read_scored(made_up.write(folder, *args, **options))


def test_all_are_met_where_each_stage_helps(tmp_path):
    study = scored(tmp_path, made_up.WHOLE, bleu=BLEU)
    chain, control, translation = aims(study)
    assert chain.verdict == control.verdict == translation.verdict == "met"
    assert chain.results == dict.fromkeys(("CLR", "MAE", "MAE+CLR"), "met")
    assert chain.tables[0].lead == "CLR: met, shown on KS, IC, PR, SD and ASR (5 of 5 tasks)."
    ks = chain.tables[0].rows[0]
    assert ks[:4] == ["KS", "+20.0\np 0.010", "+10.0\np 0.010", "+20.0\np 0.010"]
    assert chain.tables[0].rows[2][1] == "+20.0\np 0.010"  # PR: fewer errors are better
    assert translation.tables[0].rows[0] == ["CLR", "3.0 (2.3–3.7)", "1.0 (0.3–1.7)", "0.003"]
    mid, pre, longer, reach = takeaway(study)
    assert mid.startswith("Mid-training en-it improved KS, IC, PR, SD and ASR (5 of 5 tasks) over the same encoder")
    assert pre.startswith("Pre-training by CLR improved KS, IC, PR, SD and ASR (5 of 5 tasks)")
    assert "(the control)" in longer
    assert reach.startswith("There is one pre-training seed: the p-values speak of these encoders")


def test_none_is_met_where_nothing_helps(tmp_path):
    study = scored(tmp_path, made_up.NO_USE, bleu=dict.fromkeys(BLEU, 1.0))
    assert [aim.verdict for aim in aims(study)] == ["missed"] * 3
    table = aims(study)[0].tables[0]
    assert table.lead == "CLR: missed, shown on no task."
    assert set(table.marks.values()) == {"grey"} and len(table.marks) == 25
    assert takeaway(study)[0].startswith("Mid-training en-it was shown to improve none of 5 tasks over")
    assert takeaway(study)[-1].startswith("There is one pre-training seed")


def test_nothing_is_taken_away_from_a_trial_of_the_plan(tmp_path):
    study = scored(tmp_path, made_up.WHOLE, bleu=BLEU)
    assert takeaway(replace(study, study=replace(study.study, is_trial=True))) == [TRIAL]


def test_a_higher_score_that_is_not_told_apart_does_not_count(tmp_path):
    near = {("clr_it", task): made_up.WHOLE["pretrained"] + 0.03 for task in ("ks", "ic")}
    chain, control, _ = aims(scored(tmp_path, made_up.WHOLE, changed=near))
    assert chain.results == {"CLR": "missed", "MAE": "met", "MAE+CLR": "met"}
    assert chain.verdict == "met by 2 of 3"
    assert chain.tables[0].lead == "CLR: missed, shown on PR, SD and ASR (3 of 5 tasks)."
    assert control.verdict == "missed"


def test_a_task_that_got_worse_is_named(tmp_path):
    study = scored(tmp_path, made_up.WHOLE, changed={("clr_it", "sd"): 0.05})
    assert (
        "(4 of 5 tasks) over the same encoder, pre-trained by CLR, without it, and made SD worse" in takeaway(study)[0]
    )


def test_a_higher_bleu_that_is_not_told_apart_does_not_count_and_one_without_figures_is_open(tmp_path):
    made = [encoder for encoder in made_up.encoders() if encoder.name != "mae_clr_it"]
    study = scored(tmp_path, made_up.WHOLE, made, bleu={"none_it": 1.0, "clr_it": 1.5})
    assert aims(study)[2].results == {"CLR": "missed", "MAE": "not known yet"}


@pytest.mark.parametrize("scores", [4, 3])
def test_missing_tasks_decide_nothing_that_is_still_open(tmp_path, scores):
    left_out = tuple((e.name, task) for e in made_up.encoders() for task in list(COUNTED)[scores:])
    study = scored(tmp_path, made_up.WHOLE, left_out=left_out)
    chain = aims(study)[0]
    assert chain.verdict == ("met" if scores == 4 else "not known yet")
    assert takeaway(study)[0].startswith(f"The study is not finished (missing scores: {len(left_out)}).")
    assert f"({scores} of {scores} tasks)" in takeaway(study)[1]


def test_with_two_seeds_a_task_counts_if_both_show_it(tmp_path):
    worse = {("clr_it_seed2", "ks"): made_up.WHOLE["pretrained"]}
    study = scored(tmp_path, made_up.WHOLE, made_up.encoders((1, 2)), changed=worse)
    assert list(aims(study)[0].results)[:2] == ["CLR, seed 1", "MAE, seed 1"]
    sentences = takeaway(study)
    assert sentences[0].startswith("Mid-training en-it improved IC, PR, SD and ASR (4 of 5 tasks)")
    assert sentences[-1].startswith("There are 2 pre-training seeds") and "not of the method" in sentences[-1]


@pytest.mark.parametrize("value, verdict", [(0.9, "missed"), (1.9, "met")])
def test_a_bleu_below_1_shows_nothing_whatever_its_test_says(tmp_path, value, verdict):
    made = [one for one in made_up.encoders(objectives=("clr",), sets=()) if one.language in (None, "it")]
    study = scored(tmp_path, made_up.WHOLE, made, bleu={"none_it": value - 1.1, "clr_it": value})
    assert study.study.translation_tests[0].p == 0.001
    assert aims(study)[-1].verdict == verdict


def test_a_plan_of_few_tasks_leaves_the_aims_untested(tmp_path):
    made_up.write(tmp_path, made_up.WHOLE, bleu=BLEU)
    results = json.loads((tmp_path / "results.json").read_text())
    two = {
        key: [one for one in results[key] if one["task"] in ("ks", "pr")] for key in ("jobs", "summary", "comparisons")
    }
    (tmp_path / "results.json").write_text(json.dumps(results | two))
    study = read_scored(tmp_path)
    chain, control, translation = aims(study)
    assert chain.verdict == control.verdict == "not tested" and translation.verdict == "met"
    assert chain.tables[0].lead == "CLR: too few tasks for this aim, shown on KS and PR (2 of 2 tasks)."
    assert study.missing() == 0 and "(2 of 2 tasks)" in takeaway(study)[0]
