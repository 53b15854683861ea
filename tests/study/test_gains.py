"""Figure 3: what is compared with what, and the interval of a mean over encoders that share their test speakers."""

import json

import numpy as np
import pytest

from mmpt.study.figures import change_by_task, gains
from mmpt.study.gains import gain, groups, mean_items
from mmpt.study.record import Study, write_study
from mmpt.study.scored import COUNTED, read_scored
from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.items import Items

from helpers import made_up_study as made_up
from helpers import predicted_run

NAMES = ("untrained", "clr_seed1", "clr_seed2", "none_it_seed1", "none_it_seed2", "clr_it_seed1", "clr_it_seed2")
WRONG = dict(zip(NAMES, (0.7, 0.6, 0.5, 0.5, 0.4, 0.3, 0.2)))


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """Two pre-training seeds with predictions, KS and PR, two head seeds."""
    wrong = {name: {"ks": share, "pr": share} for name, share in WRONG.items()}
    folder = predicted_run.write(tmp_path_factory.mktemp("predicted"), wrong, seeds=(1, 2))
    made = [encoder for encoder in made_up.encoders((1, 2)) if encoder.name in NAMES]
    write_study(folder, Study("evening", tuple(made)))
    return read_scored(folder)


def items(scored, name, cell):
    return scored.rows[name].runs[0].items(*cell[:2])[cell[2]]


def test_groups_differ_in_one_thing_alone(tmp_path):
    scored = read_scored(made_up.write(tmp_path, made_up.WHOLE))
    found = {
        what: {name: [(before.name, after.name) for before, after in pairs] for name, pairs in group.items()}
        for what, group in groups(scored).items()
    }
    assert found == {
        "method": {
            "no pre-training": [("untrained", "none_it")],
            "CLR": [("clr", "clr_it")],
            "MAE": [("mae", "mae_it")],
            "MAE+CLR": [("mae_clr", "mae_clr_it")],
        },
        "language": {"en-it": [("clr", "clr_it")], "en-de": [("clr", "clr_de")]},
    }


def test_sets_of_clips_are_compared_where_they_were_mid_trained(tmp_path):
    extra = made_up.MadeEncoder("clr_sounds_it", "midtrained", "clr", "sounds", "it", "clr_sounds")
    scored = read_scored(made_up.write(tmp_path, made_up.WHOLE, [*made_up.encoders(), extra]))
    assert {name: len(pairs) for name, pairs in groups(scored)["data"].items()} == {"all": 1, "sounds": 1}
    assert len(groups(scored)["method"]["CLR"]) == 1


def test_a_single_pair_has_the_interval_of_its_comparison(tmp_path):
    scored = read_scored(made_up.write(tmp_path, made_up.WHOLE))
    change = gain(scored, groups(scored)["method"]["CLR"], COUNTED["pr"])
    assert change.value == pytest.approx(100 * 0.2 / 0.7)  # PER from 70 to 50 %
    assert change.interval == pytest.approx((100 * 0.16 / 0.7, 100 * 0.24 / 0.7))


def test_a_mean_over_seeds_is_a_ratio_of_means_with_an_interval(predicted):
    method = groups(predicted)["method"]
    assert {name: len(pairs) for name, pairs in method.items()} == {"no pre-training": 2, "CLR": 2}
    for cell, sign in ((COUNTED["ks"], 1), (COUNTED["pr"], -1)):
        change = gain(predicted, method["CLR"], cell)
        old, new = (
            np.mean([items(predicted, f"{name}_seed{seed}", cell).score for seed in (1, 2)])
            for name in ("clr", "clr_it")
        )
        assert change.value == pytest.approx(sign * 100 * (new - old) / old)
        low, high = change.interval
        assert 0 < low < change.value < high


def test_a_pair_counted_twice_has_the_interval_of_one(predicted):
    """Encoders share the test's speakers: a second one that errs on the same items adds no certainty."""
    [first, _] = groups(predicted)["method"]["CLR"]
    once, twice = (gain(predicted, pairs, COUNTED["ks"]) for pairs in ([first], [first, first]))
    assert twice.value == pytest.approx(once.value)
    assert twice.interval == pytest.approx(once.interval)


def test_mean_items_are_averaged_item_by_item_in_any_order():
    one = Items(("a", "b"), ("x", "y"), np.array([[1, 0]]), np.ones(2))
    other = Items(("b", "a"), ("y", "x"), np.array([[1, 1]]), np.ones(2))
    found = mean_items([one, other])
    assert found.ids == ("a", "b") and found.counts.tolist() == [[1.0, 0.5]]
    with pytest.raises(InputError, match="head seeds"):
        mean_items([one, Items(one.ids, one.clusters, np.ones((2, 2)), np.ones(2))])


def test_bars_without_predictions_have_no_interval_of_a_mean(predicted, tmp_path):
    content = json.loads((predicted.rows["clr_seed1"].runs[0].folder / "results.json").read_text())
    for job in content["jobs"]:
        job["folder"] = "/gone" + job["folder"]
    (tmp_path / "results.json").write_text(json.dumps(content))
    write_study(tmp_path, predicted.study)
    scored = read_scored(tmp_path)
    change = gain(scored, groups(scored)["method"]["CLR"], COUNTED["ks"])
    assert change.interval is None and change.value > 0


def test_each_task_has_a_panel_and_a_missing_score_is_said(tmp_path):
    left_out = (("mae_it", "ks"), *((e.name, "asr") for e in made_up.encoders()))
    scored = read_scored(made_up.write(tmp_path, made_up.WHOLE, left_out=left_out))
    for figure, bars in ((change_by_task(scored), 10), (gains(scored), 6)):
        titles = [axis.get_title() for axis in figure.axes]
        assert titles == ["KS accuracy", "IC accuracy", "PR PER", "SD DER"]
        assert [len(axis.patches) for axis in figure.axes] == [bars - 1, bars, bars, bars]
        assert "not scored yet" in [text.get_text() for text in figure.axes[0].texts]
        whiskers = [line for line in figure.axes[1].lines if line.get_marker() == "|"]
        assert len(whiskers) == bars - (figure.axes[1].get_yticklabels()[-1].get_text() == "CLR, longer (control)")
