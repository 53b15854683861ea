"""The SSL-only clause."""

import pytest

from mmpt.superb.submission.eligibility import judge
from mmpt.superb.submission.form import describe_model

PRE = {"stage": "pretrain", "objective": "clr", "data": "lrs3", "steps": 200}
MID = {"stage": "midtrain", "objective": "translation", "data": "must_c en-it", "language": "en-it", "steps": 600}


@pytest.mark.parametrize(
    "stages, eligible, words",
    [
        ([PRE], True, "no text took part"),
        ([{"stage": "untrained", "steps": 0}], True, "no text took part"),
        ([PRE, MID], False, "mid-trained on speech with texts (must_c en-it)"),
        ([MID], False, "bars pairs of audio and text"),
        ([{"stage": "imported"}], False, "a stage 'imported'"),
        ([], False, "does not say what it was trained on"),
    ],
)
def test_who_may_enter_the_challenge_track(stages, eligible, words):
    found = judge({"stages": stages})
    assert found.eligible is eligible and words in found.reason


def test_no_provenance_is_not_eligible():
    assert not judge(None).eligible


def test_outside_data_is_disclosed_whatever_the_verdict():
    assert (
        judge({"stages": [PRE, MID]}).disclosure
        == "pretrain clr on lrs3 (200 steps); midtrain translation on must_c en-it (600 steps)"
    )


def test_a_long_disclosure_leaves_out_steps_and_names_the_data_once():
    judged = judge({"stages": [PRE, MID]})
    words = "Weights: pretrain clr on lrs3 (200 steps); midtrain translation on must_c en-it (600 steps). "
    assert describe_model("Mine.", judged, None) == f"Mine. {words}Not SSL only: it {judged.cause}."
    long = describe_model("x" * 160, judged, None)
    assert long.endswith("midtrain translation on must_c en-it. Not SSL only: it was mid-trained on speech with texts.")
