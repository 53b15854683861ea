"""The averages over the paper's table are those that its text quotes (it cuts some digits: within 0.01)."""

import pytest

from mmpt.superb.report.word_errors import PRE, SPLITS, WordErrors, paper, read_table, relative_gain
from mmpt.upstream.errors import InputError

NEAR = 0.0101


def both(figure):
    """The same of clean and other."""
    return [figure(paper()[split]) for split in SPLITS]


def test_mean_without_mid_training():
    assert both(WordErrors.mean) == pytest.approx([6.34, 12.18], abs=NEAR)


@pytest.mark.parametrize(
    "language, expected", [("en-de", [8.59, 6.77]), ("en-it", [18.55, 10.28]), ("en-nl", [13.11, 7.71])]
)
def test_gain_of_mid_training(language, expected):
    assert both(lambda table: table.gain(language=language)) == pytest.approx(expected, abs=NEAR)


@pytest.mark.parametrize("data, expected", [("K600", [6.65, 12.9]), ("VC2", [6.16, 12.01]), ("LRS3", [6.19, 11.64])])
def test_data_sets(data, expected):
    assert both(lambda table: table.mean(data=data)) == pytest.approx(expected, abs=NEAR)


@pytest.mark.parametrize(
    "method, expected", [("MAE", [5.63, 11.53]), ("CLR", [6.00, 11.67]), ("MAE+CLR", [6.09, 11.85])]
)
def test_methods(method, expected):
    assert both(lambda table: table.method_row(method)) == pytest.approx(expected, abs=NEAR)


def test_headline_against_scratch():
    assert both(lambda table: relative_gain(table.cells["MAE", "LRS3", "en-it"], table.scratch)) == pytest.approx(
        [38.45, 26.18], abs=NEAR
    )


def test_the_table_is_whole():
    for table in paper().values():
        assert (table.methods(), table.data_sets(), table.languages()) == (
            ["MAE", "CLR", "MAE+CLR"],
            ["K600", "VC2", "LRS3"],
            ["en-de", "en-it", "en-nl"],
        )
        assert len(table.cells) == 36
    assert both(lambda table: (table.scratch, table.spreads[None])) == [(6.84, 0.22), (12.91, 0.47)]


def test_three_rows_without_mid_training_are_worse_than_scratch():
    table = paper()["clean"]
    assert sum(value > table.scratch for (_, _, language), value in table.cells.items() if language is PRE) == 3


def test_gains_of_a_method_and_a_data_set_are_ratios_of_means():
    table = WordErrors(
        {
            ("MAE", "A", PRE): 10.0,
            ("MAE", "B", PRE): 20.0,
            ("MAE", "A", "en-it"): 5.0,
            ("MAE", "B", "en-it"): 19.0,
            ("MAE", "A", "en-de"): 8.0,
        }
    )
    assert table.gain(data="A") == pytest.approx(35.0)
    assert table.gain(method="MAE") == pytest.approx(100 * (1 - (32 / 3) / (40 / 3)))
    assert table.gain(method="MAE", language="en-it") == pytest.approx(20.0)


def test_missing_cells_are_left_out_of_both_sides_of_a_gain():
    table = WordErrors(
        {
            ("MAE", "K600", PRE): 10.0,
            ("CLR", "K600", PRE): 50.0,
            ("MAE", "K600", "en-it"): 5.0,
            ("CLR", "LRS3", "en-it"): 1.0,
        }
    )
    assert table.gain(language="en-it") == pytest.approx(50.0)
    assert table.gain(language="en-de") is None
    assert table.method_row("MAE") == pytest.approx(7.5) and table.method_row("MAE+CLR") is None
    assert table.mean(data="LRS3") is None
    assert relative_gain(1.0, None) is None and relative_gain(1.0, 0.0) is None


@pytest.mark.parametrize(
    "text",
    [
        "rows: 3",
        "{",
        "rows: [{method: MAE, pre: [1, 2]}]",
        "rows: [{method: MAE, data: A, pre: [1]}]",
        "rows: [{method: M, data: A, pre: [a, b]}]",
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError, match="is not a table of word errors"):
        read_table(tmp_path / "t.yaml")
