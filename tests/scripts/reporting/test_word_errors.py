"""The averages over the paper's table are those that its text quotes (it cuts some digits: within 0.01)."""

import pytest

from mmpt.scripts.reporting.word_errors import PRE, WordErrors, paper, relative_gain

NEAR = 0.0101


def test_mean_without_mid_training():
    assert paper().mean() == pytest.approx((6.34, 12.18), abs=NEAR)


@pytest.mark.parametrize("language, expected", [("en-de", (8.59, 6.77)), ("en-it", (18.55, 10.28)), ("en-nl", (13.11, 7.71))])
def test_gain_of_mid_training(language, expected):
    assert paper().gain(language) == pytest.approx(expected, abs=NEAR)


@pytest.mark.parametrize("data, expected", [("K600", (6.65, 12.9)), ("VC2", (6.16, 12.01)), ("LRS3", (6.19, 11.64))])
def test_data_sets(data, expected):
    assert paper().mean(data=data) == pytest.approx(expected, abs=NEAR)


@pytest.mark.parametrize("method, expected", [("MAE", (5.63, 11.53)), ("CLR", (6.00, 11.67)), ("MAE+CLR", (6.09, 11.85))])
def test_methods(method, expected):
    assert paper().method_row(method) == pytest.approx(expected, abs=NEAR)


def test_headline_against_scratch():
    assert relative_gain(paper().cells["MAE", "LRS3", "en-it"], paper().scratch) == pytest.approx((38.45, 26.18), abs=NEAR)


def test_the_table_is_whole():
    table = paper()
    assert (table.methods(), table.data_sets(), table.languages()) == (["MAE", "CLR", "MAE+CLR"], ["K600", "VC2", "LRS3"], ["en-de", "en-it", "en-nl"])
    assert len(table.cells) == 36


def test_three_rows_without_mid_training_are_worse_than_scratch():
    table = paper()
    assert sum(pair[0] > table.scratch[0] for (_, _, language), pair in table.cells.items() if language is PRE) == 3


def test_missing_cells_are_left_out_of_both_sides_of_a_gain():
    table = WordErrors({("MAE", "K600", PRE): (10.0, 20.0), ("CLR", "K600", PRE): (50.0, 50.0), ("MAE", "K600", "en-it"): (5.0, 10.0)})
    assert table.gain("en-it") == pytest.approx((50.0, 50.0))
    assert table.gain("en-de") is None
    assert table.method_row("CLR") is None
    assert table.mean(data="LRS3") is None
    assert relative_gain((1.0, 1.0), None) is None
